"""FAMO, fast adaptive multitask optimisation (Liu et al. 2023, arXiv 2306.03792, Algorithm 1)."""

from __future__ import annotations

from torch import Tensor, float64, softmax, tensor, zeros

from methods.weighting.positive import above
from methods.weighting.rule import Need, Signals, Weighting


class FAMO(Weighting):
    """s_i = c z_i / (L_i - b_i), z = softmax(xi), b lower bounds, c such that s sums to 1; equal in the first step.

    L_i is that of the last step's batch, after the step, for the present batch's in the paper: ours.
    """

    needs: frozenset[Need] = frozenset({"losses", "losses_after"})
    least = 2
    state = ("xi", "logs")

    def __init__(self, n: int, seed: int = 0, *, beta: float, gamma: float, bounds: list[float]) -> None:
        super().__init__(n, seed)
        if len(bounds) not in (0, n):
            raise ValueError(f"bounds: expected {n}, in the order of the objectives, or none, got {len(bounds)}")
        self.beta, self.gamma, self.b = beta, gamma, tensor(bounds or [0.0] * n, dtype=float64)
        self.xi = self.logs = zeros(n, dtype=float64)  # logs: log(L_i - b_i) where the last step ended, on its batch

    def weights(self) -> Tensor:
        return softmax(self.xi - self.logs, 0)

    def update(self, signals: Signals) -> None:
        """xi <- xi - beta (J_z d + gamma xi), d the fall of the logs; ArithmeticError if a loss is not above b_i."""
        before, self.logs = (above(signals.require(name), self.b).log() for name in ("losses", "losses_after"))
        z, fall = softmax(self.xi, 0), before - self.logs
        self.xi = self.xi - self.beta * (z * fall - z * (z @ fall) + self.gamma * self.xi)
