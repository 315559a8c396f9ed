"""The released code's finite differences, term by term: for replication, and as the yardstick of cost.

Two differences, each of the loss of one level at p - e vec and p + e vec with e = radius / |vec|, both
passes with their graph: level II gives u from v, level I gives the gradient of the weights from u.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods.hypergradient.central import TINY, moved, norm
from methods.hypergradient.functional import Parameters, shared
from methods.hypergradient.probe import Probe


def as_released(probe: Probe, radius: float) -> Tensor:
    """Return q, shape (n,), in the unit of the other hypergradients: the factor -2 gamma is divided out."""
    two, u, scale = probe.level_two, probe.v, 1.0
    if two is not None:
        fixed, theta = two, {name: value.clone().requires_grad_() for name, value in shared(probe.theta).items()}

        def proximal(omega: Parameters) -> Parameters:
            loss = fixed.loss({**fixed.omega, **omega}, theta)
            return dict(zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True))

        # 2 gamma v in exact arithmetic: the gradient with respect to theta is affine in omega.
        u, scale = _difference(proximal, two.omega, u, radius), 2 * two.gamma

    def weighted(theta: Parameters) -> Parameters:
        s = probe.s.to(next(iter(theta.values()))).clone().requires_grad_()
        trained = {name: value.clone().requires_grad_() for name, value in (probe.theta | theta).items()}
        return {"s": torch.autograd.grad(s @ probe.losses(trained), s)[0]}

    return -_difference(weighted, probe.theta, shared(u), radius)["s"] / scale


def _difference(
    gradient: Callable[[Parameters], Parameters], point: Parameters, vec: Parameters, radius: float
) -> Parameters:
    e = radius / (norm(vec) + TINY)
    low, high = (gradient(moved(point, vec, sign * e)) for sign in (-1, 1))
    return {name: (low[name] - high[name]) / (2 * e) for name in low}
