"""Learned weights against those of the null control."""

from __future__ import annotations

from statistics import fmean

from pydantic import BaseModel, computed_field

from leaderboard.content.procedures import Procedure


class FinalWeight(BaseModel):
    """One objective's weight when training ended, with and without a signal in the validation labels."""

    objective: str
    weights: list[float]  # of the method's runs
    null_weights: list[float]  # of its control's runs
    p: float | None = None  # two-sided; None without a control, or where the protocol supports no significance
    p_holm: float | None = None  # over the objectives of this method on this task
    differs: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mean(self) -> float:
        """Mean over the method's runs."""
        return fmean(self.weights)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def null_mean(self) -> float | None:
        """Mean over the control's runs."""
        return fmean(self.null_weights) if self.null_weights else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def difference(self) -> float | None:
        """Of the two means."""
        return None if self.null_mean is None else self.mean - self.null_mean


class LearnedWeights(BaseModel):
    """The final weights of one method on one task, and whether they differ from those of its null control."""

    row: str
    control: str | None  # None where none was run
    objectives: list[FinalWeight]
    seeds: list[int]  # in the order of the weights
    null_seeds: list[int]
    procedure: Procedure | None  # None where nothing was tested
    family: str
    no_verdict: str | None  # why nothing is said about a difference
    note: str | None  # which runs were left out, and why
    identities: list[str]
    null_identities: list[str]

    @property
    def clearest(self) -> FinalWeight:
        """The objective with the smallest p."""
        return min(self.objectives, key=lambda weight: 1.0 if weight.p is None else weight.p)
