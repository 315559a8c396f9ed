"""Uncertainty weighting (Kendall et al. 2018, arXiv 1705.07115, Section 3) in its log-variance form."""

from __future__ import annotations

from torch import Tensor, float64, softmax, zeros

from methods.weighting.positive import above
from methods.weighting.rule import Need, Signals, Weighting


class Uncertainty(Weighting):
    """Gradient steps on eta in sum_i exp(-eta_i) L_i + eta_i, eta_i = log sigma_i^2; s_i = exp(-eta_i) / sum_j.

    eta rests where exp(eta_i) = L_i, so that s_i is proportional to 1 / L_i. Dividing by the sum is
    ours: under the paper's weights exp(-eta_i) the step grows as losses fall.
    """

    needs: frozenset[Need] = frozenset({"losses"})
    least = 2
    state = ("eta",)

    def __init__(self, n: int, seed: int = 0, *, rate: float) -> None:
        super().__init__(n, seed)
        self.rate, self.eta = rate, zeros(n, dtype=float64)

    def weights(self) -> Tensor:
        return softmax(-self.eta, 0)

    def update(self, signals: Signals) -> None:
        """Move eta; raises ArithmeticError if a loss is not positive, as eta_i would then fall without end."""
        losses = above(signals.losses)
        self.eta = self.eta - self.rate * signals.decay * (1 - (-self.eta).exp() * losses)
