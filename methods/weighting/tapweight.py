"""TapWeight's level III: a gradient step on alpha through the softmax (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from methods.weighting.rule import Signals, Weighting


class TapWeight(Weighting):
    """s = softmax(alpha); h = -q; alpha <- alpha - eta J_s h, with J_s = diag(s) - s s^T and eta = 2 gamma lr_alpha.

    With ``ema_decay``, q is first divided by the root of a running mean over steps of mean_i q_i^2,
    so that one eta serves tasks whose q differ forty-fold; without, q enters raw as in the paper.
    """

    needs = frozenset({"alignment"})

    def __init__(self, n: int, eta: float, ema_decay: float | None = None) -> None:
        self.eta, self.ema_decay = eta, ema_decay
        self.alpha = torch.ones(n, dtype=torch.float64)
        self.square = torch.tensor(-1.0, dtype=torch.float64)  # negative until the first q initialises it

    def weights(self) -> Tensor:
        """Return s = softmax(alpha), shape (n,)."""
        return torch.softmax(self.alpha, 0)

    def update(self, signals: Signals) -> None:
        """Take one step on alpha."""
        assert signals.alignment is not None
        s, h = self.weights(), -self._normalised(signals.alignment)
        self.alpha = self.alpha - self.eta * signals.decay * (s * h - s * (s @ h))

    def _normalised(self, q: Tensor) -> Tensor:
        if self.ema_decay is None:
            return q
        square = (q * q).mean()
        self.square = square if self.square < 0 else self.ema_decay * self.square + (1 - self.ema_decay) * square
        return q / self.square.sqrt().clamp_min(torch.finfo(torch.float64).tiny)

    def state_dict(self) -> dict[str, Any]:
        """Return alpha and the running mean."""
        return {"alpha": self.alpha, "square": self.square}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.alpha, self.square = state["alpha"], state["square"]
