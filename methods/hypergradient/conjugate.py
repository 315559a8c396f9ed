"""The inverse Hessian by conjugate gradients (Rajeswaran et al. 2019; Hestenes and Stiefel 1952)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from methods.hypergradient.functional import Parameters, dot
from methods.hypergradient.inverse import Product, through_lower_levels
from methods.hypergradient.probe import Probe


def conjugate_gradients(probe: Probe, terms: int) -> Tensor:
    """Return q with H^-1 v from ``terms`` iterations that start at 0, shape (n,).

    Stops early where the residual vanishes, and where the curvature along a direction is not positive:
    beyond it H x = v has no minimum to approach. If that is so along v itself, v stands for H^-1 v, as
    in truncated Newton methods (Nocedal and Wright 2006, Algorithm 7.1).
    """
    return through_lower_levels(probe, partial(_iterate, terms=terms))


def _iterate(product: Product, v: Parameters, terms: int) -> Parameters:
    x = {name: torch.zeros_like(value) for name, value in v.items()}
    residual, direction, square = v, v, dot(v, v)
    vanishing = torch.finfo(square.dtype).eps ** 2 * square
    for index in range(terms):
        if square <= vanishing:
            break
        curved = product(direction)
        curvature = dot(direction, curved)
        if curvature <= 0:
            return x if index else v
        step = square / curvature
        x = {name: value + step * direction[name] for name, value in x.items()}
        residual = {name: value - step * curved[name] for name, value in residual.items()}
        before, square = square, dot(residual, residual)
        direction = {name: value + square / before * direction[name] for name, value in residual.items()}
    return x
