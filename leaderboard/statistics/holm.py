"""Holm's step-down correction for a family of tests (Holm 1979; Demsar 2006 for its use here)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def holm(p_values: ArrayLike) -> list[float]:
    """Return corrected p-values, shape (m,), in the order given.

    The k-th smallest of m is multiplied by m - k + 1; the running maximum keeps the corrected values
    in the order of the raw ones, and none exceeds 1.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    scaled = raw[order] * np.arange(len(raw), 0, -1)
    corrected = np.empty_like(raw)
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]
