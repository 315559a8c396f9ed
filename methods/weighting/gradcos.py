"""Gradient similarity (Du et al. 2018, arXiv 1812.02224, the weighted version): an objective helps or waits."""

from __future__ import annotations

from torch import cat, float64, ones

from methods.weighting.gramian import FromGramian
from methods.weighting.rule import Signals

EPSILON = 1e-8  # of the cosine's denominator


class GradCos(FromGramian):
    """s = w / sum w, w_i = max(0, cos(g_i, g_*)), w_* = 1 for the end task *, the last term. Dividing is ours."""

    def update(self, signals: Signals) -> None:
        """Take the weights from the gradients of this batch alone."""
        gramian = signals.require("gramian")
        norms = gramian.diagonal().sqrt()
        cosines = gramian[:-1, -1] / (norms[:-1] * norms[-1] + EPSILON)
        w = cat([cosines.clamp_min(0), ones(1, dtype=float64)])
        self.s = w / w.sum()
