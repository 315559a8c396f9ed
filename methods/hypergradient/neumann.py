"""The inverse Hessian by its Neumann series (Lorraine et al. 2020, Algorithm 3)."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from methods.hypergradient.functional import Parameters
from methods.hypergradient.inverse import Product, through_lower_levels
from methods.hypergradient.probe import Probe


def neumann(probe: Probe, terms: int, step: float) -> Tensor:
    """Return q with H^-1 v ~ a sum_{j=0..K} (I - a H)^j v, K = ``terms`` and a = ``step``, shape (n,).

    Converges as K grows if H is positive definite and a below 2 over its largest eigenvalue.
    """
    return through_lower_levels(probe, partial(_series, terms=terms, step=step))


def _series(product: Product, v: Parameters, terms: int, step: float) -> Parameters:
    term, total = v, v
    for _ in range(terms):
        curved = product(term)
        term = {name: value - step * curved[name] for name, value in term.items()}
        total = {name: value + term[name] for name, value in total.items()}
    return {name: step * value for name, value in total.items()}
