"""Central difference along v: two passes without a graph, at the same batch, views and masks."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import Parameters, device_of, shared
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import Probe

TINY = 1e-15  # keeps the radius finite where v vanishes


def central(probe: Probe, radius: float) -> Tensor:
    """Return [L(theta + e v) - L(theta - e v)] / (2 e) with e = radius / |v_B|, shape (n,)."""
    along = shared(probe.v)
    e = scaled(radius, along)
    with torch.no_grad(), full_precision(device_of(along)):
        high, low = (probe.losses(moved(probe.theta, along, sign * e)) for sign in (1, -1))
    q: Tensor = (high - low) / (2 * e)
    return q


def scaled(radius: float, along: Parameters) -> Tensor:
    """Return radius / |along|, the Euclidean norm taken over all tensors."""
    norm: Tensor = torch.stack([step.norm() for step in along.values()]).norm()
    return radius / (norm + TINY)


def moved(theta: Parameters, along: Parameters, distance: Tensor) -> Parameters:
    """Return theta + distance * along, for the parameters that ``along`` names."""
    return {name: theta[name] + distance * step for name, step in along.items()}
