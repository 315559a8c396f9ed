"""PCGrad, gradient surgery (Yu et al. 2020, arXiv 2001.06782, Algorithm 1), computed by torchjd."""

from __future__ import annotations

from torch import eye, random
from torchjd.aggregation import PCGradWeighting

from methods.weighting.gramian import FromGramian
from methods.weighting.rule import Signals
from tasks.randomness import generator


class PCGrad(FromGramian):
    """For j in random order, where g_i . g_j < 0: g_i <- g_i - (g_i . g_j / |g_j|^2) g_j; their sum is sum_i w_i g_i.

    s = w / sum_i w_i. Dividing is ours: no rule takes longer steps.
    """

    state = ("step", "s")

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self.step = 0

    def update(self, signals: Signals) -> None:
        """Resolve the conflicts of one batch; torchjd draws from the global generator, which is lent and given back."""
        gramian = signals.require("gramian")
        floor = 1e-30 * gramian.trace() * eye(self.n).double()  # squares may underflow
        with random.fork_rng(devices=[]):
            random.set_rng_state(generator(self.seed, "pcgrad", self.step).get_state())
            w = PCGradWeighting()(gramian + floor)
        self.step, self.s = self.step + 1, w / w.sum()
