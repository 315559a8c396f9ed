"""UPGrad, unconflicting projection of gradients (Quinton & Rey 2024, arXiv 2406.16232), computed by torchjd."""

from __future__ import annotations

from torch import finfo
from torchjd.aggregation import UPGradWeighting

from methods.weighting.gramian import FromGramian
from methods.weighting.rule import Signals


class UPGrad(FromGramian):
    """s = w / sum_i w_i, with sum_i w_i g_i the mean of the g_i, each projected onto what conflicts with no g_j.

    Dividing is ours: no rule takes longer steps.
    """

    def update(self, signals: Signals) -> None:
        """Resolve the conflicts of one batch. The scale of G does not matter; torchjd would take a small one for 0."""
        gramian = signals.require("gramian")
        w = UPGradWeighting()(gramian / gramian.trace().clamp_min(finfo(gramian.dtype).tiny))
        self.s = w / w.sum()
