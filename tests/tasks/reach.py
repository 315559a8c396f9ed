"""What can be got at from an object without opening a seal."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor


def arrays_in(thing: Any, seen: set[int], depth: int = 0) -> list[Any]:
    """Every array that can be reached through attributes, items and closures of functions, seals left closed."""
    if id(thing) in seen or depth > 12 or type(thing).__name__ == "SealedLabels":
        return []
    seen.add(id(thing))
    if isinstance(thing, np.ndarray | Tensor):
        return [np.asarray(thing)]
    inside: list[Any] = []
    if isinstance(thing, dict):
        inside += thing.values()
    elif isinstance(thing, list | tuple | set):
        inside += thing
    elif callable(thing) and getattr(thing, "__closure__", None):
        inside += [cell.cell_contents for cell in thing.__closure__]
    elif type(thing).__module__.startswith("tasks"):
        inside += vars(thing).values()
    return [array for one in inside for array in arrays_in(one, seen, depth + 1)]
