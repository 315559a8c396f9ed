"""Fixed weights (TapWeight Section 4.3, "CP w/o reweighting"): equal ones unless others are given."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, float64, full, tensor

from methods.weighting.rule import Weighting


class Fixed(Weighting):
    """s_i = 1/n, or a given point on the simplex, for ever. Raises ValueError if the given point is not on it."""

    def __init__(self, n: int, seed: int = 0, *, s: Sequence[float] = ()) -> None:
        super().__init__(n, seed)
        if s and len(s) != n:
            raise ValueError(f"weights: expected {n}, in the order of the objectives, got {len(s)}")
        if s and (min(s) < 0 or abs(sum(s) - 1) > 1e-6):
            raise ValueError(f"weights: expected none below 0 and a sum of 1, got {list(s)}")
        self.s = tensor(s, dtype=float64) if s else full((n,), 1 / n, dtype=float64)

    def weights(self) -> Tensor:
        """Return s, shape (n,)."""
        return self.s
