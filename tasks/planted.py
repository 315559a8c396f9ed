"""Labels drawn at random, for the objective that a suite plants because it is of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def planted_labels(classes: int, count: int, seed: int, *purpose: str) -> Tensor | None:
    """Return labels (count,) below ``classes``, None if there are none: by row, so that every run sees them alike."""
    import torch

    from tasks.randomness import generator

    return torch.randint(classes, (count,), generator=generator(seed, "planted", *purpose)) if classes else None
