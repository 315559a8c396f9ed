"""How a number was arrived at."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Interval(BaseModel):
    """A 95 % interval."""

    low: float
    high: float


class Estimate(Interval):
    """A value with its 95 % bootstrap interval."""

    value: float


class Procedure(BaseModel):
    """How a permutation test was done."""

    statistic: str
    pairing: Literal["unpaired", "paired"]
    exact: bool
    splits: int  # enumerated, or drawn
    generator_seed: int | None
