"""Auto-Lambda: descent of the weights on the validation loss one step ahead (Liu et al. 2022, arXiv 2202.03091)."""

from __future__ import annotations

from torch import Tensor, float64, full, zeros

from methods.weighting.rule import Need, Signals, Weighting

FIRST, FLOOR = 0.1, 1e-6  # lambda_k at first, as released; the least one, so that their sum never vanishes
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


class AutoLambda(Weighting):
    """Adam, as released, on L_val(theta - lr sum_k lambda_k g_k); the floor is ours, and s = lambda / sum lambda."""

    needs: frozenset[Need] = frozenset({"lookahead"})
    before_step, least = True, 2
    state = ("t", "lambdas", "first", "second")

    def __init__(self, n: int, seed: int = 0, *, rate: float) -> None:
        super().__init__(n, seed)
        self.rate, self.lambdas = rate, full((n,), FIRST, dtype=float64)
        self.first, self.second, self.t = zeros(n, dtype=float64), zeros(n, dtype=float64), 0  # Adam's moments, steps

    def weights(self) -> Tensor:
        return self.lambdas / self.lambdas.sum()

    def update(self, signals: Signals) -> None:
        """Take one step; the slope along lambda_k is -lr v . g_k with v taken ahead; Adam is blind to lr's scale."""
        slope, self.t = -signals.decay * signals.require("lookahead"), self.t + 1
        self.first, self.second = self.first.lerp(slope, 1 - BETAS[0]), self.second.lerp(slope**2, 1 - BETAS[1])
        mean, square = self.first / (1 - BETAS[0] ** self.t), self.second / (1 - BETAS[1] ** self.t)
        self.lambdas = (self.lambdas - self.rate * mean / (square.sqrt() + EPSILON)).clamp_min(FLOOR)
