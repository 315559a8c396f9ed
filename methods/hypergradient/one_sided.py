"""One-sided difference along v, from the losses that the training pass has just given: one more pass, no graph.

The base must be of the same point, batch and masks: losses from before an optimiser step, with the
probe after it, measure the step and not the alignment.
"""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.central import TINY, moved, norm
from methods.hypergradient.functional import full_precision, shared
from methods.hypergradient.probe import Probe


def one_sided(probe: Probe, radius: float) -> Tensor:
    """Return [L(theta + e v) - L(theta)] / e with e = radius / |v_B|, shape (n,)."""
    along = shared(probe.v)
    e = radius / (norm(along) + TINY)
    with torch.no_grad(), full_precision(next(iter(along.values())).device):
        base = probe.losses(probe.theta) if probe.base is None else probe.base
        return (probe.losses(moved(probe.theta, along, e)) - base) / e
