"""Dynamic weight average (Liu et al. 2019, arXiv 1803.10704, Eq. 7), over windows of steps for the paper's epochs."""

from __future__ import annotations

from torch import Tensor, ones, softmax, stack

from methods.weighting.positive import above
from methods.weighting.rule import Need, Signals, Weighting


class DynamicWeightAverage(Weighting):
    """s = softmax(w / T), w_i = mean L_i of the last window / of the one before; equal at first. Paper: times n."""

    needs: frozenset[Need] = frozenset({"losses"})
    least = 2
    state = ("rows", "means")

    def __init__(self, n: int, seed: int = 0, *, window: int, temperature: float) -> None:
        super().__init__(n, seed)
        self.window, self.temperature = window, temperature
        self.rows: list[Tensor] = []  # losses of the present window
        self.means: list[Tensor] = []  # of the last two full ones

    def weights(self) -> Tensor:
        w = self.means[1] / self.means[0] if len(self.means) == 2 else ones(self.n).double()
        return softmax(w / self.temperature, 0)

    def update(self, signals: Signals) -> None:
        """Add a step's losses; raises ArithmeticError if one is not positive."""
        self.rows = [*self.rows, above(signals.losses)]
        if len(self.rows) == self.window:
            self.means, self.rows = [*self.means, stack(self.rows).mean(0)][-2:], []
