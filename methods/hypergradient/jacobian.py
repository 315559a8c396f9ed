"""The gradients of several losses with one shared graph, one backward pass each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-8  # of the cosine's denominator (TARTAN's vision code)


class Jacobian:
    """The gradients of k losses; rows for the encoder's parameters B, and for all parameters that train.

    Parameters
    ----------
    losses: k scalars with their graph, which is used up. Scalars that were stacked before cost more: a
        pass through one of them then visits the graphs of all.
    body: the parameters of B. others: those of all heads.
    """

    def __init__(self, losses: Sequence[Tensor], body: Sequence[nn.Parameter], others: Sequence[nn.Parameter]) -> None:
        self.parameters = [parameter for parameter in (*body, *others) if parameter.requires_grad]
        size = sum(parameter.numel() for parameter in body if parameter.requires_grad)
        width = sum(parameter.numel() for parameter in self.parameters)
        self.matrix = self.parameters[0].detach().new_zeros(len(losses), width)  # (k, all parameters)
        for index, loss in enumerate(losses):
            if not loss.requires_grad:  # an idle objective
                continue
            found = torch.autograd.grad(
                loss, self.parameters, retain_graph=index + 1 < len(losses), allow_unused=True, materialize_grads=True
            )
            self.matrix[index] = torch.cat([gradient.reshape(-1) for gradient in found])
        self.body = self.matrix[:, :size]  # (k, |B|)

    def gramian(self) -> Tensor:
        """Return g_i . g_j on B, shape (k, k), float64 on the CPU."""
        return (self.body @ self.body.T).double().cpu()

    def alignment(self, v: Tensor) -> Tensor:
        """Return q_i = v . g_i for v of shape (|B|,); shape (k,), float64 on the CPU."""
        return (self.body @ v).double().cpu()

    def cosine(self, v: Tensor) -> Tensor:
        """Return q_i / (|v| |g_i|), 0 where either vanishes; shape (k,), float64 on the CPU."""
        found: Tensor = self.alignment(v) / (self.body.norm(dim=1) * v.norm() + EPSILON).double().cpu()
        return found

    def set_gradient(self, s: Tensor) -> None:
        """Put sum_i s_i g_i into the ``grad`` of every parameter, s of shape (k,)."""
        combined = s.to(self.matrix) @ self.matrix
        start = 0
        for parameter in self.parameters:
            parameter.grad = combined[start : start + parameter.numel()].view_as(parameter).clone()
            start += parameter.numel()
