"""q_i = v_B . grad L_i by one backward pass for each objective: the definition, and what the cosine needs."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import full_precision, shared
from methods.hypergradient.jacobian import EPSILON
from methods.hypergradient.probe import Probe


def backward(probe: Probe) -> Tensor:
    """Return q, shape (n,)."""
    v, gradients = _on_shared(probe)
    q: Tensor = gradients @ v
    return q


def cosine(probe: Probe) -> Tensor:
    """Return q_i / (|v_B| |grad L_i|), shape (n,); 0 where a gradient vanishes."""
    v, gradients = _on_shared(probe)
    found: Tensor = (gradients @ v) / (gradients.norm(dim=1) * v.norm() + EPSILON)
    return found


def _on_shared(probe: Probe) -> tuple[Tensor, Tensor]:
    """Return v_B, shape (|B|,), and the gradients of the n losses on B, shape (n, |B|)."""
    along = shared(probe.v)
    point = {name: probe.theta[name].clone().requires_grad_() for name in along}
    with full_precision(next(iter(point.values())).device):
        losses = probe.losses(point)
        rows = []
        for index, loss in enumerate(losses.unbind()):
            found = torch.autograd.grad(
                loss, list(point.values()), retain_graph=index + 1 < len(losses), allow_unused=True,
                materialize_grads=True,
            )  # fmt: skip
            rows.append(torch.cat([gradient.reshape(-1) for gradient in found]))
    return torch.cat([along[name].reshape(-1) for name in point]), torch.stack(rows)
