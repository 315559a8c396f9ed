"""Losses that a rule takes the logarithm, the reciprocal or the ratio of."""

from __future__ import annotations

from torch import Tensor, as_tensor


class TermError(ArithmeticError):
    """A rule cannot go on from the loss of one term; ``term`` is its index."""

    def __init__(self, term: int, message: str) -> None:
        super().__init__(f"the loss of term {term} (from 0): {message}")
        self.term, self.message = term, message


def above(losses: Tensor, bounds: Tensor | float = 0.0) -> Tensor:
    """Return losses - bounds, shape (n,).

    Raises
    ------
    TermError: naming the first term whose loss is not finite and above its lower bound, and the loss.
    """
    gaps = losses - bounds
    for term, gap in enumerate(gaps.tolist()):
        if not 0 < gap < float("inf"):
            loss, bound = losses[term].item(), as_tensor(bounds).expand_as(losses)[term].item()
            raise TermError(term, f"expected a finite one above {bound}, got {loss}")
    return gaps
