"""Fixed equal weights, s_i = 1/n (TapWeight Section 4.3, "CP w/o reweighting")."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.weighting.rule import Weighting


class Fixed(Weighting):
    """s_i = 1/n for ever."""

    def __init__(self, n: int) -> None:
        self.s = torch.full((n,), 1 / n, dtype=torch.float64)

    def weights(self) -> Tensor:
        """Return s, shape (n,)."""
        return self.s
