"""The default: q_i = v_B . grad L_i for all objectives at once, by one forward-mode pass."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import device_of, full_precision, shared
from methods.hypergradient.probe import Probe


def forward(probe: Probe) -> Tensor:
    """Return the directional derivatives of the n losses along v on B, 0 on the heads, shape (n,).

    One dual-number forward in full precision, whatever n is; views are those of the batch that
    ``probe.losses`` holds. No learning rate and no radius enters.
    """
    along = shared(probe.v)
    point = {name: probe.theta[name] for name in along}
    with full_precision(device_of(point)):
        q: Tensor = torch.func.jvp(probe.losses, (point,), (along,))[1]
    return q
