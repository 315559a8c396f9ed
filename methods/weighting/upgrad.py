"""UPGrad, unconflicting projection of gradients (Quinton & Rey 2024, arXiv 2406.16232), computed by torchjd."""

from __future__ import annotations

from typing import Any

from torch import Tensor, finfo, float64, full
from torchjd.aggregation import UPGradWeighting

from methods.weighting.rule import Need, Signals, Weighting


class UPGrad(Weighting):
    """s = w / sum_i w_i, with sum_i w_i g_i the mean of the g_i, each projected onto what conflicts with no g_j.

    Dividing is ours: no rule takes longer steps.
    """

    needs: frozenset[Need] = frozenset({"gramian"})
    before_step = True
    least = 2

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self.s = full((n,), 1 / n, dtype=float64)

    def weights(self) -> Tensor:
        return self.s

    def update(self, signals: Signals) -> None:
        """Resolve the conflicts of one batch. The scale of G does not matter; torchjd would take a small one for 0."""
        gramian = signals.require("gramian")
        w = UPGradWeighting()(gramian / gramian.trace().clamp_min(finfo(gramian.dtype).tiny))
        self.s = w / w.sum()

    def state_dict(self) -> dict[str, Any]:
        return {"s": self.s}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.s = state["s"]
