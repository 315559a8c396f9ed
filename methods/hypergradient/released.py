"""The released code's finite differences, term by term: for replication, and as the yardstick of cost.

Two differences, each of the gradient of one level's loss at p - e vec and p + e vec with e = radius / |vec|,
all four passes with their graph: level II gives u from v, level I gives the gradient of the weights from u.
(arXiv 2410.10006, Appendix A, with the identity for the inverse Hessians as in the released code.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from methods.hypergradient.central import moved, scaled
from methods.hypergradient.functional import Parameters, device_of, separate, shared
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import LevelTwo, Probe


def as_released(probe: Probe, radius: float) -> Tensor:
    """Return q, shape (n,), in the unit of the other hypergradients: the factor -2 gamma is divided out.

    Differs from the released code where that loses digits or draws anew: full precision, and the same
    masks on both sides of a difference. gamma must be positive.
    """
    with full_precision(device_of(probe.theta)):
        if probe.level_two is None:
            return -_difference(_by_weights(probe), probe.theta, probe.v, radius)["s"]
        two = probe.level_two()
        # 2 gamma v on B in exact arithmetic: the gradient with respect to theta is affine in omega.
        u = _difference(_by_theta(two, probe.theta), two.omega, probe.v, radius)
        return -_difference(_by_weights(probe), probe.theta, u, radius)["s"] / (2 * two.gamma)


def _by_theta(two: LevelTwo, theta: Parameters) -> Callable[[Parameters], Parameters]:
    """Return omega -> the gradient of level II's loss with respect to theta on B."""

    def gradient(omega: Parameters) -> Parameters:
        free = separate(shared(theta))
        loss = two.loss(separate(two.omega | omega), free)
        return dict(zip(free, torch.autograd.grad(loss, list(free.values())), strict=True))

    return gradient


def _by_weights(probe: Probe) -> Callable[[Parameters], Parameters]:
    """Return theta -> the gradient of level I's loss with respect to the weights s."""

    def gradient(theta: Parameters) -> Parameters:
        free = separate(probe.theta | theta)
        s = separate({"s": probe.s.to(next(iter(free.values())))})
        return {"s": torch.autograd.grad(s["s"] @ probe.losses(free), s["s"])[0]}

    return gradient


def _difference(
    gradient: Callable[[Parameters], Parameters], point: Parameters, vec: Parameters, radius: float
) -> Parameters:
    e = scaled(radius, vec)
    low, high = (gradient(moved(point, vec, sign * e)) for sign in (-1, 1))
    return {name: (low[name] - high[name]) / (2 * e) for name in low}
