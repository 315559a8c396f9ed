"""TapWeight, level III: one gradient step on alpha through the softmax (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, float64, ones, softmax

from methods.weighting.normalise import RunningScale
from methods.weighting.rule import Need, Signals, Weighting


class TapWeight(Weighting):
    """s = softmax(alpha); alpha <- alpha - eta J_s h, with h = -q, J_s = diag(s) - s s^T, eta = 2 gamma lr_alpha."""

    least = 2

    def __init__(self, n: int, seed: int = 0, *, eta: float, alignment: str = "raw", ema_decay: float = 0.9) -> None:
        super().__init__(n, seed)
        self.signal: Need = "cosine" if alignment == "cosine" else "alignment"
        self.needs = frozenset({self.signal})
        self.eta, self.scale = eta, RunningScale(ema_decay) if alignment == "ema" else None
        self.alpha = ones(n, dtype=float64)

    def weights(self) -> Tensor:
        return softmax(self.alpha, 0)

    def update(self, signals: Signals) -> None:
        """Raise s_j where q_j = v . grad L_j exceeds the s-weighted mean of q."""
        q = signals.require(self.signal)
        s, h = self.weights(), -(self.scale(q) if self.scale else q)
        self.alpha = self.alpha - self.eta * signals.decay * (s * h - s * (s @ h))

    def state_dict(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "scale": self.scale.square if self.scale else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.alpha = state["alpha"]
        if self.scale:
            self.scale.square = state["scale"]
