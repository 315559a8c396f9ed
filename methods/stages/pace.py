"""When levels II and III of TapWeight move: every so many steps of level I, or sooner while the weights move fast."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from methods.settings import TriLevelSettings


class Pace:
    """Level II moves ``gap`` steps of level I after it last did, level III after ``unroll_two`` moves of level II.

    The gap is ``unroll_one``, as in the paper. With ``largest_move``, which is not in the paper, it is the time in
    which the fastest weight goes that far at the speed of the last move: at least one step, at most ``unroll_one``,
    and one step at the start, where there is no speed yet. That is an aim and no bound: a speed may rise. A shorter
    gap makes a smaller move, by ``share`` of both levels' rates, so that the same slopes lead as far in as many steps
    of level I. Running means (momentum, Adam's, that of "ema") count moves, not steps.
    """

    def __init__(self, settings: TriLevelSettings) -> None:
        self.settings = settings
        self.gap = settings.unroll_one if settings.largest_move is None else 1
        self.last = 0  # steps of level I before the last move of level III
        self.two, self.three = 0, 0  # moves made of each level

    @property
    def share(self) -> float:
        """Return the share of the rates that belongs to the present gap."""
        return self.gap / self.settings.unroll_one

    def two_due(self, done: int) -> bool:
        """Whether level II moves when ``done`` steps of level I are done, all moves up to then made."""
        return (done - self.last) % self.gap == 0

    def three_due(self, done: int) -> bool:
        """Whether level III does; level II has moved then."""
        return done == self.last + self.gap * self.settings.unroll_two

    def three_moved(self, done: int, before: Tensor, after: Tensor) -> None:
        """Note that level III took the weights (n,) from ``before`` to ``after``."""
        most, furthest = self.settings.largest_move, (after - before).abs().max().item()
        if most is not None:
            reach = most / furthest * self.gap if furthest else math.inf  # steps of level I
            self.gap = max(1, int(min(self.settings.unroll_one, reach)))  # the period if the weights are not finite
        self.last, self.three = done, self.three + 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return {"gap": self.gap, "last": self.last, "two": self.two, "three": self.three}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.gap, self.last, self.two, self.three = (state[name] for name in ("gap", "last", "two", "three"))
