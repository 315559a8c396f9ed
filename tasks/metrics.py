"""Scores of one split, in the units of the task. Missing labels are NaN and never count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from tasks.info import TaskInfo

Array = NDArray[np.float64]


class ScoreError(BenchError):
    """The predictions or the labels of a split cannot be scored."""


def evaluate(info: TaskInfo, labels: Array, predictions: Array, train_sigma: Array | None) -> dict[str, float]:
    """Score predictions against labels.

    Letters: N examples, t targets.

    Classification: ``roc_auc``, the mean over the targets that have at least one positive and one
    negative label, and ``targets_used``, their number (MoleculeNet; Hu et al. 2020).
    Regression: ``rmse`` and ``mae``, computed per target and then averaged; with ``train_sigma`` also
    ``mae_normalised``, the mean of each target's MAE over its sigma; with t > 1 also ``mae[NAME]``.

    Parameters
    ----------
    labels: (N, t); 0 or 1 for classes, the task's units otherwise, NaN where missing.
    predictions: (N, t); any score that rises with the probability of class 1, or values in the task's units.
    train_sigma: (t,) standard deviations of the training labels, in the task's units.

    Raises
    ------
    ScoreError: if a prediction is not finite, no target can be scored, or a sigma is not positive.
    """
    if labels.shape != predictions.shape or labels.ndim != 2 or labels.shape[1] != info.outputs:
        raise ValueError(f"{info.id}: expected (N, {info.outputs}), got {labels.shape} and {predictions.shape}")
    broken = int(np.sum(~np.isfinite(predictions)))
    if broken:
        raise ScoreError(f"{info.id}: expected finite predictions, got {broken} of {predictions.size} NaN or infinite")
    if info.kind == "classification":
        return _classification(info, labels, predictions)
    return _regression(info, labels, predictions, train_sigma)


def _classification(info: TaskInfo, labels: Array, predictions: Array) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    scores = []
    for truth, prediction in zip(labels.T, predictions.T, strict=True):
        valid = ~np.isnan(truth)
        if len(np.unique(truth[valid])) == 2:
            scores.append(roc_auc_score(truth[valid], prediction[valid]))
    if not scores:
        raise ScoreError(f"{info.id}: expected a target with both classes among {len(labels)} examples, got none")
    return {"roc_auc": float(np.mean(scores)), "targets_used": float(len(scores))}


def _regression(info: TaskInfo, labels: Array, predictions: Array, train_sigma: Array | None) -> dict[str, float]:
    used = ~np.all(np.isnan(labels), axis=0)
    if not used.any():
        raise ScoreError(f"{info.id}: expected a target with labels among {len(labels)} examples, got none")
    error = (predictions - labels)[:, used]
    rmse = np.sqrt(np.nanmean(error**2, axis=0))
    mae = np.nanmean(np.abs(error), axis=0)
    scores = {"rmse": float(rmse.mean()), "mae": float(mae.mean())}
    names = np.array(info.targets)[used]
    if train_sigma is not None:
        sigma = train_sigma[used]
        flat = names[~(sigma > 0)]
        if len(flat):
            raise ScoreError(f"{info.id}: expected training labels that vary, got sigma 0 for {', '.join(flat)}")
        scores["mae_normalised"] = float((mae / sigma).mean())
    if info.outputs > 1:
        scores |= {f"mae[{name}]": float(value) for name, value in zip(names, mae, strict=True)}
    return scores
