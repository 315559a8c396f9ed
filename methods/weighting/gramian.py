"""What rules share whose weights follow from the Gramian of one batch alone."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, float64, full

from methods.weighting.rule import Need, Weighting


class FromGramian(Weighting):
    """s is set by ``update`` before the step that uses it; equal weights until then."""

    needs: frozenset[Need] = frozenset({"gramian"})
    before_step = True
    least = 2
    state: ClassVar[tuple[str, ...]] = ("s",)

    def __init__(self, n: int, seed: int = 0) -> None:
        super().__init__(n, seed)
        self.s = full((n,), 1 / n, dtype=float64)

    def weights(self) -> Tensor:
        return self.s
