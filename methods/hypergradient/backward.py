"""q_i = v_B . grad L_i by one backward pass for each objective: the definition, and what the cosine needs."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import device_of, dot, separate, shared
from methods.hypergradient.jacobian import EPSILON
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import Probe


def backward(probe: Probe) -> Tensor:
    """Return q, shape (n,)."""
    return _measured(probe)[0]


def cosine(probe: Probe) -> Tensor:
    """Return q_i / (|v_B| |grad L_i|), both on B, shape (n,); 0 where a gradient vanishes."""
    q, lengths, length = _measured(probe)
    return q / (lengths * length + EPSILON)


def _measured(probe: Probe) -> tuple[Tensor, Tensor, Tensor]:
    """Return q and the |grad L_i|, shape (n,) each, and |v_B|; one gradient is held at a time."""
    along = shared(probe.v)
    point = separate({name: probe.theta[name] for name in along})
    rows = []
    with full_precision(device_of(point)):
        losses = probe.losses(point).unbind()
        for index, loss in enumerate(losses):
            found = torch.autograd.grad(
                loss, list(point.values()), retain_graph=index + 1 < len(losses), allow_unused=True,
                materialize_grads=True,
            )  # fmt: skip
            gradient = dict(zip(point, found, strict=True))
            rows.append(torch.stack([dot(gradient, along), dot(gradient, gradient).sqrt()]))
            del found, gradient  # before the next one is made
    q, lengths = torch.stack(rows, dim=1)
    return q, lengths, dot(along, along).sqrt()
