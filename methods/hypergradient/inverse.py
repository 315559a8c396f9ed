"""Solving through both lower levels: u = H_I^-1 [H_II^-1 v]_B, for any approximate solver of H x = v."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods.hypergradient.functional import Function, Parameters, full_precision, shared
from methods.hypergradient.probe import Probe

Product = Callable[[Parameters], Parameters]  # x -> H x
Solver = Callable[[Product, Parameters], Parameters]  # (H, v) -> about H^-1 v


def through_both_levels(probe: Probe, solve: Solver) -> Tensor:
    """Return q_i = u . grad L_i with the Hessians of this step's batches, shape (n,)."""
    u, two = probe.v, probe.level_two
    with full_precision(next(iter(u.values())).device):
        if two is not None:
            fixed = two  # for the closure
            u = solve(hessian(lambda omega: fixed.loss(omega, probe.theta), two.omega), u)
        along = {name: torch.zeros_like(value) for name, value in probe.theta.items()} | shared(u)
        s = probe.s.to(next(iter(u.values())))
        along = solve(hessian(lambda theta: s @ probe.losses(theta), probe.theta), along)
        q: Tensor = torch.func.jvp(probe.losses, (probe.theta,), (along,))[1]
    return q


def hessian(loss: Function, point: Parameters) -> Product:
    """Return x -> H x with H the Hessian of ``loss`` at ``point``: forward over reverse mode."""

    def product(x: Parameters) -> Parameters:
        result: Parameters = torch.func.jvp(torch.func.grad(loss), (point,), (x,))[1]
        return result

    return product


def dot(x: Parameters, y: Parameters) -> Tensor:
    """Return x . y over all tensors."""
    return torch.stack([(x[name] * y[name]).sum() for name in x]).sum()
