"""q_i = v_B . grad L_i by one backward pass for each objective: the definition, and the cosine from the same passes."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import device_of, dot, separate, shared
from methods.hypergradient.jacobian import EPSILON
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import Probe


def backward(probe: Probe) -> Tensor:
    """Return q, shape (n,)."""
    return with_cosine(probe)[0]


def with_cosine(probe: Probe) -> tuple[Tensor, Tensor]:
    """Return q and the cosines q_i / (|v_B| |grad L_i|), norms on B, 0 where one vanishes; shape (n,) each.

    One gradient is held at a time.
    """
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
    return q, q / (lengths * dot(along, along).sqrt() + EPSILON)
