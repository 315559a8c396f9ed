"""What a hypergradient is asked: one point, the losses around it, and the validation gradient there.

The learned weights descend on L_val. TapWeight's chain rule through its two lower levels, with the
proximal term gamma ||omega - theta||^2 (arXiv 2410.10006, Eq. 5), is

    d L_val / d s_i = -2 gamma  u . grad L_i(theta),   u = H_I^-1 [H_II^-1 v]_B,

with v the gradient of L_val at omega, H_II the Hessian of level II, H_I that of level I, and B the
parameters that theta and omega share. In two levels (Eq. 9) there is one body,

    d L_val / d s_i = -u . grad L_i(theta),   u = H^-1 v,

with H the Hessian of sum_i s_i L_i + c L_tr. The released code takes the identity for all inverses:
u = v_B. A hypergradient returns q_i = u . grad L_i; the factor belongs to the weights' learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from methods.hypergradient.functional import Function, Loss, Parameters, as_function, device_of, gradient_and_value
from methods.hypergradient.precision import full_precision


@dataclass(frozen=True)
class LevelTwo:
    """Level II at this step: its loss L_tr + gamma ||omega - theta||^2 as a function of (omega, theta)."""

    loss: Callable[[Parameters, Parameters], Tensor]
    omega: Parameters  # with its head
    gamma: float


@dataclass(frozen=True)
class Probe:
    """One question. n objectives; parameters by name, the encoder's as ``encoder.NAME``.

    ``v`` is the gradient of L_val: in three levels with respect to omega and its head, in two with
    respect to theta.
    """

    losses: Function  # theta -> (n,), of one pretraining batch; accepts some of the parameters only
    theta: Parameters  # with all heads that level I trains
    v: Parameters
    s: Tensor  # (n,), the present weights
    level_two: Callable[[], LevelTwo] | None = None  # None in two levels; made when asked for, since few ask
    unweighted: Function | None = None  # in two levels: theta -> c L_tr
    base: Tensor | None = None  # (n,), ``losses(theta)``, where a training pass in full precision has just given it


class Hypergradient(Protocol):
    """A way to compute q."""

    def __call__(self, probe: Probe) -> Tensor:
        """Return q, shape (n,)."""


def validation_gradient(encoder: nn.Module, head: nn.Module, loss: Loss) -> tuple[Parameters, Tensor]:
    """Return v, the gradient of ``loss`` with respect to the parameters of encoder and head, and the loss."""
    function, parameters = as_function(encoder, head, loss)
    with full_precision(device_of(parameters)):
        v, value = gradient_and_value(function, parameters)
    return v, value
