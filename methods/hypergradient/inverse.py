"""Solving through the lower levels: u = H_I^-1 [H_II^-1 v]_B, or H^-1 v in two levels, for any solver of H x = v.

The Hessians are those of the losses on the batches of this step; the optimisers' weight decay is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods.hypergradient.functional import Function, Parameters, device_of, dot, shared
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import Probe

Product = Callable[[Parameters], Parameters]  # x -> H x
Solver = Callable[[Product, Parameters], Parameters]  # (H, v) -> about H^-1 v


def through_lower_levels(probe: Probe, solve: Solver) -> Tensor:
    """Return q_i = u . grad L_i, shape (n,). H_I is taken over theta and all heads that level I trains."""
    s = probe.s.to(next(iter(probe.theta.values())))

    def level_one(theta: Parameters) -> Tensor:
        weighted = s @ probe.losses(theta)
        return weighted if probe.unweighted is None else weighted + probe.unweighted(theta)

    with full_precision(device_of(probe.theta)):
        u = probe.v
        if probe.level_two is not None:
            two = probe.level_two()
            u = shared(solve(hessian(lambda omega: two.loss(omega, probe.theta), two.omega), u))
        u = {name: torch.zeros_like(value) for name, value in probe.theta.items()} | u
        u = solve(hessian(level_one, probe.theta), u)
        q: Tensor = torch.func.jvp(probe.losses, (probe.theta,), (u,))[1]
    return q


def hessian(loss: Function, point: Parameters) -> Product:
    """Return x -> H x with H the Hessian of ``loss`` at ``point``.

    Reverse over reverse mode. Forward over reverse is as fast, but its symbolic zeros stop some backward
    passes, such as that of a mean squared error on one token of a text model.
    """
    gradient = torch.func.grad(loss)

    def product(x: Parameters) -> Parameters:
        result: Parameters = torch.func.grad(lambda at: dot(gradient(at), x))(point)
        return result

    return product
