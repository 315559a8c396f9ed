"""Losses as functions of parameters, on copies of the running statistics: probing leaves a model as it was."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, nn.Module], Tensor]


class _Pair(nn.Module):
    """An encoder and its head as one module, so that one call can replace all their parameters."""

    def __init__(self, encoder: nn.Module, head: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.encoder, self.head, self.loss = encoder, head, loss

    def forward(self) -> Tensor:
        return self.loss(self.encoder, self.head)


def as_function(
    encoder: nn.Module, head: nn.Module, loss: Loss
) -> tuple[Callable[[dict[str, Tensor]], Tensor], dict[str, Tensor]]:
    """Return ``loss`` as a function of the encoder's parameters B, and B itself, detached, by name.

    Batch norm stays in the mode it is in; each call works on a fresh copy of the running statistics.
    """
    pair = _Pair(encoder, head, loss)
    shared = {f"encoder.{name}": parameter.detach() for name, parameter in encoder.named_parameters()}
    rest = {f"head.{name}": parameter.detach() for name, parameter in head.named_parameters()}

    def function(parameters: dict[str, Tensor]) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in pair.named_buffers()}
        value: Tensor = torch.func.functional_call(pair, {**parameters, **rest, **buffers}, ())
        return value

    return function, shared
