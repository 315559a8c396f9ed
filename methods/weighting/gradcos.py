"""Gradient similarity (Du et al. 2018, arXiv 1812.02224, the weighted version): an objective helps or waits."""

from __future__ import annotations

from typing import Any

from torch import Tensor, cat, float64, full, ones

from methods.weighting.rule import Need, Signals, Weighting

EPSILON = 1e-8  # of the cosine's denominator


class GradCos(Weighting):
    """s = w / sum w, w_i = max(0, cos(g_i, g_*)), w_* = 1 for the end task *, the last term. Dividing is ours."""

    needs: frozenset[Need] = frozenset({"gramian"})
    before_step = True
    least = 2

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self.s = full((n,), 1 / n, dtype=float64)

    def weights(self) -> Tensor:
        return self.s

    def update(self, signals: Signals) -> None:
        """Take the weights from the gradients of this batch alone."""
        gramian = signals.require("gramian")
        norms = gramian.diagonal().sqrt()
        cosines = gramian[:-1, -1] / (norms[:-1] * norms[-1] + EPSILON)
        w = cat([cosines.clamp_min(0), ones(1, dtype=float64)])
        self.s = w / w.sum()

    def state_dict(self) -> dict[str, Any]:
        return {"s": self.s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.s = state["s"]
