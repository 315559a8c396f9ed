"""Optimisers and learning-rate schedules, as functions of the step: nothing to save but their moments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from methods.settings import OptimiserSettings

STEP_DROPS, STEP_FACTOR = 30, 0.9  # the released StepLR(100, 0.9) at 3,000 steps, kept in proportion elsewhere


def build(
    parameters: Iterable[nn.Parameter], settings: OptimiserSettings, slow: Mapping[nn.Parameter, float] | None = None
) -> torch.optim.Optimizer:
    """Return the optimiser that ``settings`` names.

    Biases and the parameters of normalisations are those with fewer than two dimensions. ``slow`` gives the
    parameters whose learning rate is a share of the others', with that share.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter in parameters:
        decays = settings.decay_norms or parameter.ndim >= 2
        groups.setdefault((decays, (slow or {}).get(parameter, 1.0)), []).append(parameter)
    listed: list[dict[str, Any]] = [
        {"params": members, "weight_decay": settings.weight_decay if decays else 0.0, "share": share}
        for (decays, share), members in groups.items()
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(listed, lr=settings.lr, momentum=settings.momentum)
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(listed, lr=settings.lr, betas=settings.betas, eps=settings.eps)


def factor(schedule: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """Return what step ``step`` of ``steps`` multiplies the learning rate with.

    The first ``warmup`` share of the steps rises linearly; the schedule spans the rest.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(1, steps - rising)
    if schedule == "linear":
        return 1 - done
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule == "step":
        return float(STEP_FACTOR ** math.floor(STEP_DROPS * done))
    return 1.0


def apply(
    optimiser: torch.optim.Optimizer, settings: OptimiserSettings, step: int, steps: int, share: float = 1.0
) -> None:
    """Set ``share`` of the rate of step ``step``, clip the gradient, move the parameters, clear the gradient."""
    rate = settings.lr * factor(settings.schedule, step, steps, settings.warmup) * share
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    if settings.clip is not None:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], settings.clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
