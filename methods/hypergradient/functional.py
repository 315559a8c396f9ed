"""Losses as functions of parameters: probing leaves modules, running statistics and global generators as they were."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from methods.hypergradient.replay import random_state, replayed

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

    The function may be given some of them only. The others have the values of the modules, also of
    later steps: what is returned shares their memory. Parameters that do not train are left out.

    Each call works on a copy of the running statistics; batch norm stays in the mode it is in. Each
    call also starts from the state that the global generators have now. So all calls drop the same
    units, in both passes of a difference and in a forward-mode pass; and a function made just before
    a training pass drops those of that pass.

    Raises
    ------
    ValueError: if a module with parameters stands under two names.
    """
    pair = _Pair(encoder, head, loss)
    _check_names(pair)
    present = {name: parameter.detach() for name, parameter in pair.named_parameters() if parameter.requires_grad}
    frozen = {name: parameter.detach() for name, parameter in pair.named_parameters() if not parameter.requires_grad}
    device = next((tensor.device for tensor in (*present.values(), *frozen.values())), torch.device("cpu"))
    state = random_state(device)

    def function(parameters: Parameters) -> Tensor:
        buffers = {name: buffer.clone() for name, buffer in pair.named_buffers()}
        with replayed(state, device):
            value: Tensor = torch.func.functional_call(pair, {**frozen, **present, **parameters, **buffers}, ())
        return value

    return function, present


def gradient_and_value(function: Function, parameters: Parameters) -> tuple[Parameters, Tensor]:
    """Return the gradient of ``function`` at ``parameters``, and its value, which must depend on one of them.

    By one backward pass that frees its graph on the way. ``torch.func.grad`` gives the same numbers, but keeps that
    graph and records a second one, of the gradient, until it is done.
    """
    free = separate(parameters)
    value = function(free)
    found = torch.autograd.grad(value, list(free.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(free, found, strict=True)), value.detach()


def separate(parameters: Parameters) -> Parameters:
    """Return leaves of a graph to come, with the memory of ``parameters``."""
    return {name: value.detach().requires_grad_() for name, value in parameters.items()}


def _check_names(pair: nn.Module) -> None:
    """Refuse what torch.func.functional_call would not put back, so that training would silently stop."""
    names: dict[nn.Module, str] = {}
    for name, module in pair.named_modules(remove_duplicate=False):
        if module in names and next(module.parameters(), None) is not None:
            raise ValueError(f"modules: expected each under one name, got one as {names[module]!r} and as {name!r}")
        names[module] = name


def shared(parameters: Parameters) -> Parameters:
    """Return those of B, the encoder's."""
    return {name: tensor for name, tensor in parameters.items() if name.startswith("encoder.")}


def device_of(parameters: Parameters) -> torch.device:
    """Return the device that the parameters lie on."""
    return next(iter(parameters.values())).device


def dot(x: Parameters, y: Parameters) -> Tensor:
    """Return x . y over all tensors."""
    return torch.stack([(x[name] * y[name]).sum() for name in x]).sum()
