"""The common scale of all tasks: the share of the baseline's error that a score removes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def error_removed(scores: ArrayLike, reference: ArrayLike, *, higher_is_better: bool) -> NDArray[np.float64]:
    """Return the share of the baseline's error removed: 1 leaves none, 0 changes nothing, below 0 adds error.

    (s - s_ft) / (1 - s_ft) for metrics that are at most 1 and better when higher (ROC-AUC, accuracy, F1,
    MCC, correlations); 1 - e / e_ft for errors (RMSE, MAE).

    Parameters
    ----------
    scores: raw scores of the metric, any shape.
    reference: the baseline's mean score s_ft or e_ft; one number, or of a shape that broadcasts.

    Raises
    ------
    ValueError: if the baseline leaves no error: s_ft >= 1, or e_ft <= 0.
    """
    values, baseline = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if no_error_left(baseline, higher_is_better).any():
        expected = "below 1" if higher_is_better else "above 0"
        raise ValueError(f"expected a baseline that leaves an error to remove ({expected}), got {baseline.tolist()!r}")
    if higher_is_better:
        return np.asarray((values - baseline) / (1.0 - baseline))
    return np.asarray(1.0 - values / baseline)


def no_error_left(reference: NDArray[np.float64], higher_is_better: bool) -> NDArray[np.bool_]:
    """Whether a baseline of this mean score, of any shape, leaves nothing to remove."""
    return np.asarray(reference >= 1.0 if higher_is_better else reference <= 0.0)
