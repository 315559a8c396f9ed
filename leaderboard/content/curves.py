"""What moved during training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class LearningCurves(BaseModel):
    """Validation score of one row on one task at e points: mean and sd over the seeds that got that far."""

    row: str
    unit: Literal["epoch", "step"]
    done: list[int]  # (e,)
    mean: list[float]  # (e,) metric units
    sd: list[float | None]  # (e,) None where a single seed is left
    seeds: list[int]  # (e,) how many got that far


class WeightCurves(BaseModel):
    """How one row weighted the objectives: mean and sd over seeds at u steps for n objectives."""

    row: str
    control_of: str | None
    objectives: list[str]
    unit: Literal["pretraining step", "trial"]  # of the steps
    steps: list[int]  # (u,)
    mean: list[list[float]]  # (u, n)
    sd: list[list[float]] | None  # (u, n); None for a single seed
    seeds: int
    note: str | None  # what was left out, and why


class TaskCurves(BaseModel):
    """What moved during training on one task."""

    task: str
    weights: list[WeightCurves]
    learning: list[LearningCurves]
