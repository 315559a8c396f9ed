"""Optimisers and learning-rate schedules, as functions of the step: nothing to save but their moments."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from methods.settings import OptimiserSettings

STEP_DROPS, STEP_FACTOR = 30, 0.9  # the released StepLR(100, 0.9) at 3,000 steps, kept in proportion elsewhere


def build(parameters: Iterable[nn.Parameter], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser that ``settings`` names.

    Biases and the parameters of normalisations are those with fewer than two dimensions.
    """
    groups: list[dict[str, Any]] = [{"params": list(parameters), "weight_decay": settings.weight_decay}]
    if not settings.decay_norms:
        every = groups[0]["params"]
        groups = [
            {"params": [p for p in every if p.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [p for p in every if p.ndim < 2], "weight_decay": 0.0},
        ]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=settings.eps)


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


def apply(optimiser: torch.optim.Optimizer, settings: OptimiserSettings, step: int, steps: int) -> None:
    """Set the learning rate of step ``step``, clip the gradient, move the parameters, clear the gradient."""
    rate = settings.lr * factor(settings.schedule, step, steps, settings.warmup)
    for group in optimiser.param_groups:
        group["lr"] = rate
    if settings.clip is not None:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], settings.clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
