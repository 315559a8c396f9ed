"""The tests of one task."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from leaderboard.content.procedures import Interval, Procedure


class Comparison(Procedure):
    """The focus method against one other row on one task; effects are positive where the focus is better."""

    focus: str
    other: str
    n_focus: int
    n_other: int
    incomplete: bool  # either side has fewer seeds than planned
    effect: float  # difference of means in metric units
    interval: Interval | None  # 95 %: the shifts that the test does not reject; None where it rejects none
    effect_sd: float | None  # in pooled standard deviations
    effect_error_removed: float | None  # in shares of fine-tuning's error; None without fine-tuning
    probability_better: float  # that a run of the focus beats a run of the other; ties count half
    seed_correlation: float | None  # of the scores at common seeds, from three of them on
    p: float | None  # two-sided; None where the protocol supports no significance
    p_focus_better: float | None  # one-sided
    family: str
    family_size: int
    p_holm: float | None
    p_holm_all: float | None  # over the other rows of all tasks of the board
    identities_focus: list[str]
    identities_other: list[str]


class Pairwise(BaseModel):
    """Every pair of rows of one task, m rows: two-sided p-values, None on the diagonal and where nothing is tested."""

    rows: list[str]
    pairing: Literal["unpaired", "paired"]
    p: list[list[float | None]]  # (m, m)
    p_holm: list[list[float | None]]  # (m, m) over all pairs of the task
    family: str
    family_size: int
    no_marks: str | None  # why no pair can be significant
