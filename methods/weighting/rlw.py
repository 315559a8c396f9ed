"""Random loss weighting (Lin et al. 2022, arXiv 2111.10603, Section 3): weights without a signal, a control."""

from __future__ import annotations

from torch import Tensor, float64, randn, softmax

from methods.weighting.rule import Signals, Weighting
from tasks.randomness import generator


class RandomLossWeighting(Weighting):
    """s = softmax(x), x ~ N(0, I), drawn anew for every step: draw k is a function of the seed and k alone."""

    least = 2
    state = ("step",)

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self.step = 0

    def weights(self) -> Tensor:
        return softmax(randn(self.n, dtype=float64, generator=generator(self.seed, "rlw", self.step)), 0)

    def update(self, signals: Signals) -> None:
        """Go on to the next draw; reads nothing."""
        self.step += 1
