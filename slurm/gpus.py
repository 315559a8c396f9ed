"""Which GPUs this process may use, found without loading a numerical library, and sharing them out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")


def visible() -> tuple[str, ...]:
    """Return the GPUs as ``CUDA_VISIBLE_DEVICES`` names them: what it lists, else all that the driver has."""
    listed = os.environ.get(VARIABLE)
    if listed is not None:
        return tuple(name.strip() for name in listed.split(",") if name.strip())
    return tuple(str(index) for index in range(len(list(DRIVER.glob("*")))))


def least_used(gpus: Sequence[str], users: Iterable[str | None]) -> str | None:
    """Return the GPU that the fewest of ``users`` have, the first of several; None if there are none to choose."""
    counts = Counter(users)
    return min(gpus, key=lambda gpu: counts[gpu]) if len(gpus) > 1 else None
