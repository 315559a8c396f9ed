"""The alignment q_i = v . grad L_i for all objectives at once, by one forward-mode pass.

TapWeight's chain of finite differences has this closed form: with the proximal term gamma ||omega - theta||^2
and the identity for inverse Hessians, d L_val / d s_i = -2 gamma v . grad L_i, where v is the gradient of L_val
at omega, restricted to the encoder (arXiv 2410.10006, Appendix A; no learning rate and no radius enters).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.hypergradient.functional import Loss, as_function


def validation_gradient(encoder: nn.Module, head: nn.Module, loss: Loss) -> dict[str, Tensor]:
    """Return v_B, the gradient of ``loss`` with respect to the encoder's parameters, by name."""
    function, parameters = as_function(encoder, head, loss)
    with torch.autocast(next(iter(parameters.values())).device.type, enabled=False):
        gradient: dict[str, Tensor] = torch.func.grad(function)(parameters)
    return gradient


def alignment(encoder: nn.Module, heads: nn.Module, losses: Loss, v: dict[str, Tensor]) -> Tensor:
    """Return q, shape (n,): the directional derivatives of the n losses along v on the encoder, 0 on the heads.

    One dual-number forward in full precision, whatever n is; masks and views are those of the batch
    that ``losses`` holds.
    """
    function, parameters = as_function(encoder, heads, losses)
    with torch.autocast(next(iter(parameters.values())).device.type, enabled=False):
        q: Tensor = torch.func.jvp(function, (parameters,), (v,))[1]
    return q
