"""OL-AUX, online learning of auxiliary weights (Lin et al. 2019, NeurIPS, Algorithm 1)."""

from __future__ import annotations

from torch import Tensor, cat, float64, ones, zeros

from methods.weighting.rule import Need, Signals, Weighting


class OlAux(Weighting):
    """Every N steps w_i <- max(0, w_i + beta sum of the last N alpha g_* . g_i), 1 at first; w_* = 1 for ever.

    alpha is the body's learning rate then. s = w / sum w is ours, and so are plain losses: the release takes logs.
    """

    needs: frozenset[Need] = frozenset({"gramian"})
    least = 2
    state = ("w", "total", "count")

    def __init__(self, n: int, seed: int = 0, *, alpha: float, beta: float, interval: int) -> None:
        super().__init__(n, seed)
        self.alpha, self.beta, self.interval, self.count = alpha, beta, interval, 0
        self.w, self.total = ones(n - 1, dtype=float64), zeros(n - 1, dtype=float64)

    def weights(self) -> Tensor:
        w = cat([self.w, ones(1, dtype=float64)])
        return w / w.sum()

    def update(self, signals: Signals) -> None:
        """Add up what a step along g_i takes off the end task's loss; after N steps move w by it."""
        rate = self.alpha * signals.decay
        self.total, self.count = self.total + rate * signals.require("gramian")[:-1, -1], self.count + 1
        if self.count == self.interval:
            self.w, self.total, self.count = (self.w + self.beta * self.total).clamp_min(0), self.total * 0, 0
