"""Losses as functions of parameters, on copies of the running statistics: probing leaves a model as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Loss = Callable[[nn.Module, nn.Module], Tensor]
Parameters = dict[str, Tensor]  # "encoder.NAME" for the shared set B, "head.NAME" for the rest
Function = Callable[[Parameters], Tensor]


class _Pair(nn.Module):
    """An encoder and its head as one module, so that one call can replace all their parameters."""

    def __init__(self, encoder: nn.Module, head: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.encoder, self.head, self.loss = encoder, head, loss

    def forward(self) -> Tensor:
        return self.loss(self.encoder, self.head)


def as_function(encoder: nn.Module, head: nn.Module, loss: Loss) -> tuple[Function, Parameters]:
    """Return ``loss`` as a function of parameters by name, and the present parameters, detached.

    The function may be given some of them only; the others keep their present values. Parameters that
    do not train are left out. Batch norm stays in the mode it is in; each call works on a fresh copy
    of the running statistics.
    """
    pair = _Pair(encoder, head, loss)
    present = {name: parameter.detach() for name, parameter in pair.named_parameters() if parameter.requires_grad}
    frozen = {name: parameter.detach() for name, parameter in pair.named_parameters() if not parameter.requires_grad}

    def function(parameters: Parameters) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in pair.named_buffers()}
        value: Tensor = torch.func.functional_call(pair, {**frozen, **present, **parameters, **buffers}, ())
        return value

    return function, present


def shared(parameters: Parameters) -> Parameters:
    """Return those of B, the encoder's."""
    return {name: tensor for name, tensor in parameters.items() if name.startswith("encoder.")}


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch off autocast and the 19-bit convolutions of recent GPUs: alignments are small differences."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
