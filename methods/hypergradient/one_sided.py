"""One-sided difference along v, from the losses that the training pass has just given: one more pass, no graph.

The base must be of the same point, batch and masks: losses from before an optimiser step, with the
probe after it, measure the step and not the alignment. It must be of the same precision too: losses in
19-bit products or 16 bits differ from those in 32 by more than a step of the radius does. Where
training runs in less, the base is computed anew.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.central import moved, scaled
from methods.hypergradient.functional import device_of, shared
from methods.hypergradient.precision import full_precision
from methods.hypergradient.probe import Probe


def one_sided(probe: Probe, radius: float) -> Tensor:
    """Return [L(theta + e v) - L(theta)] / e with e = radius / |v_B|, shape (n,)."""
    along = shared(probe.v)
    device, e = device_of(along), scaled(radius, along)
    with torch.no_grad(), full_precision(device):
        base = probe.losses(probe.theta) if probe.base is None else probe.base
        return (probe.losses(moved(probe.theta, along, e)) - base) / e
