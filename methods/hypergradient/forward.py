"""The alignment q_i = v . grad L_i for all objectives at once, by one forward-mode pass.

TapWeight's chain of finite differences has this closed form: with the proximal term gamma ||omega - theta||^2
and the identity for inverse Hessians, d L_val / d s_i = -2 gamma v . grad L_i, where v is the gradient of L_val
at omega, restricted to the encoder (arXiv 2410.10006, Appendix A; no learning rate and no radius enters).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from methods.hypergradient.functional import Loss, as_function


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


def validation_gradient(encoder: nn.Module, head: nn.Module, loss: Loss) -> dict[str, Tensor]:
    """Return v_B, the gradient of ``loss`` with respect to the encoder's parameters, by name."""
    function, parameters = as_function(encoder, head, loss)
    with full_precision(next(iter(parameters.values())).device):
        gradient: dict[str, Tensor] = torch.func.grad(function)(parameters)
    return gradient


def alignment(encoder: nn.Module, heads: nn.Module, losses: Loss, v: dict[str, Tensor]) -> Tensor:
    """Return q, shape (n,): the directional derivatives of the n losses along v on the encoder, 0 on the heads.

    One dual-number forward in full precision, whatever n is; masks and views are those of the batch
    that ``losses`` holds.
    """
    function, parameters = as_function(encoder, heads, losses)
    with full_precision(next(iter(parameters.values())).device):
        q: Tensor = torch.func.jvp(function, (parameters,), (v,))[1]
    return q
