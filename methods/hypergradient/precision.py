"""The precision of passes: an encoder's training passes in 16 bits if asked for, everything else in 32.

A probe stays in 32 bits whatever training uses: the validation gradient v, TapWeight's alignments, products with
Hessians. So do parameters, optimisers, heads, losses and scores. Rules that read the gradients or losses of the
training pass read them as that pass gives them. Mixed precision by autocast (Micikevicius et al. 2018, arXiv
1710.03740); bfloat16 has the range of 32 bits, so no loss needs scaling.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps

import torch
from torch import Tensor, nn

from methods.settings import Precision
from tasks.problem import Problem


class _Probes:
    """How many blocks of :func:`full_precision` are open.

    A number for all threads: a backward pass that goes through an encoder again may do so from a thread of its own.
    """

    open = 0


def in_precision(problem: Problem, precision: Precision) -> Problem:
    """Return ``problem`` with encoders whose passes in training mode, but for probes, are in ``precision``."""
    if precision == "float32":
        return problem
    reduced, encoder = copy.copy(problem), problem.encoder
    reduced.encoder = lambda: _in_bfloat16(encoder())  # type: ignore[method-assign]
    return reduced


def trains_in_full_precision(encoder: nn.Module, device: torch.device) -> bool:
    """Whether a training pass of ``encoder`` as things stand gives what it gives within :func:`full_precision`."""
    reduced = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    ambient = torch.is_autocast_enabled(device.type) or (device.type == "cuda" and reduced)
    return not ambient and not getattr(encoder, "in_bfloat16", False)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Switch off 16 bits, and the 19-bit products of recent GPUs."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False
    _Probes.open += 1
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _Probes.open -= 1
        convolutions.allow_tf32, products.allow_tf32 = before


def _in_bfloat16(encoder: nn.Module) -> nn.Module:
    """Give ``encoder`` a class of its own, so that its parameters and buffers keep their names."""
    kind = type(encoder)

    @wraps(kind.forward)
    def forward(self: nn.Module, *inputs: Tensor) -> Tensor:
        reduced = self.training and not _Probes.open
        device = next(self.parameters()).device
        with torch.autocast(device.type, torch.bfloat16) if reduced else nullcontext():
            output: Tensor = kind.forward(self, *inputs)
        return output.float() if output.dtype == torch.bfloat16 else output

    encoder.__class__ = type(kind.__name__, (kind,), {"forward": forward, "in_bfloat16": True})
    return encoder
