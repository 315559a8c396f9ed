"""Uncertainty weighting (Kendall et al. 2018, arXiv 1705.07115, Section 3) in its log-variance form."""

from __future__ import annotations

from torch import Tensor, float64, softmax, zeros

from methods.weighting.positive import above
from methods.weighting.rule import Need, Signals, Weighting


class Uncertainty(Weighting):
    """Gradient steps on u in sum_i exp(-u_i) L_i + u_i, u_i = log sigma_i^2 (the paper's s_i); s_i = exp(-u_i) / sum_j.

    u rests where exp(u_i) = L_i, so that s_i is proportional to 1 / L_i. Dividing by the sum is
    ours: under the paper's weights exp(-u_i) the step grows as losses fall.
    """

    needs: frozenset[Need] = frozenset({"losses"})
    least = 2
    state = ("u",)

    def __init__(self, n: int, seed: int = 0, *, rate: float) -> None:
        super().__init__(n, seed)
        self.rate, self.u = rate, zeros(n, dtype=float64)

    def weights(self) -> Tensor:
        return softmax(-self.u, 0)

    def update(self, signals: Signals) -> None:
        """Move u; raises ArithmeticError if a loss is not positive, as u_i would then fall without end."""
        losses = above(signals.losses)
        self.u = self.u - self.rate * (1 - (-self.u).exp() * losses)
