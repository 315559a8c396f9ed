"""A running scale for alignments, so that one weight learning rate serves tasks whose q differ forty-fold."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningScale:
    """q / sqrt(m), with m an exponential moving average of mean_i q_i^2; the first q initialises it.

    Not in the paper, which feeds q raw.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.square: Tensor | None = None  # m; None until the first q

    def __call__(self, q: Tensor) -> Tensor:
        """Update m with q, shape (n,), and return q on the common scale."""
        now = (q * q).mean()
        self.square = now if self.square is None else self.decay * self.square + (1 - self.decay) * now
        return q / self.square.sqrt().clamp_min(torch.finfo(q.dtype).tiny)
