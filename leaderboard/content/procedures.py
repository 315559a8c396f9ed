"""How a number was arrived at."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Interval(BaseModel):
    """A 95 % interval."""

    low: float
    high: float


class Estimate(BaseModel):
    """A value with its 95 % bootstrap interval; without ends where a side has too few seeds for one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> Interval | None:
        """The interval, if there is one."""
        return None if self.low is None or self.high is None else Interval(low=self.low, high=self.high)


class Procedure(BaseModel):
    """How a permutation test was done."""

    statistic: str
    pairing: Literal["unpaired", "paired"]
    exact: bool
    splits: int  # enumerated, or drawn
    generator_seed: int | None
