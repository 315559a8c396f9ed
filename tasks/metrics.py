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
    Classes: ``accuracy``, ``macro_f1``, ``micro_f1`` (for one label each the same as accuracy), ``matthews``,
    and with two classes ``f1`` of the second.
    Regression: ``rmse`` and ``mae``, computed per target and then averaged; with ``train_sigma`` also
    ``mae_normalised``, the mean of each target's MAE over its sigma; with t > 1 also ``mae[NAME]``;
    of text also ``pearson``, ``spearman`` and their mean ``pearson_spearman``.

    Parameters
    ----------
    labels: (N, t); 0 or 1 for yes or no, the task's units for values, NaN where missing; or (N, 1) numbers of classes.
    predictions: (N, t); any score that rises with the probability of a yes, or values in the task's units; or (N, K),
        of which the largest names the class.
    train_sigma: (t,) standard deviations of the training labels, in the task's units.

    Raises
    ------
    ScoreError: if a prediction is not finite, no target can be scored, or a sigma is not positive.
    """
    expected = (len(predictions), 1 if info.kind == "classes" else info.outputs)
    if labels.shape != expected or predictions.shape != (len(predictions), info.outputs):
        raise ValueError(f"{info.id}: expected (N, {info.outputs}), got {labels.shape} and {predictions.shape}")
    broken = int(np.sum(~np.isfinite(predictions)))
    if broken:
        raise ScoreError(f"{info.id}: expected finite predictions, got {broken} of {predictions.size} NaN or infinite")
    if info.kind == "classification":
        return _classification(info, labels, predictions)
    if info.kind == "classes":
        return _classes(info, labels[:, 0], predictions)
    scores = _regression(info, labels, predictions, train_sigma)
    return scores | _correlations(info, labels[:, 0], predictions[:, 0]) if info.inputs == "text" else scores


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
    # A text task has one column of labels, which needs no name.
    names = np.array(info.targets or ("label",))[used]
    if train_sigma is not None:
        sigma = train_sigma[used]
        flat = names[~(sigma > 0)]
        if len(flat):
            raise ScoreError(f"{info.id}: expected training labels that vary, got sigma 0 for {', '.join(flat)}")
        scores["mae_normalised"] = float((mae / sigma).mean())
    if info.outputs > 1:
        scores |= {f"mae[{name}]": float(value) for name, value in zip(names, mae, strict=True)}
    return scores


def _classes(info: TaskInfo, labels: Array, predictions: Array) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    valid = ~np.isnan(labels)
    if not valid.any():
        raise ScoreError(f"{info.id}: expected labels among {len(labels)} examples, got none")
    truth, chosen = labels[valid].astype(int), predictions[valid].argmax(axis=1)
    scores = {
        "accuracy": float(accuracy_score(truth, chosen)),
        "macro_f1": float(f1_score(truth, chosen, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(truth, chosen, average="micro", zero_division=0)),
        "matthews": float(matthews_corrcoef(truth, chosen)),
    }
    if info.outputs == 2:
        scores["f1"] = float(f1_score(truth, chosen, zero_division=0))
    return scores


def _correlations(info: TaskInfo, labels: Array, predictions: Array) -> dict[str, float]:
    """Of constant predictions 0: they order nothing."""
    from scipy.stats import pearsonr, spearmanr

    if len(np.unique(labels)) < 2:
        raise ScoreError(f"{info.id}: expected labels that vary among {len(labels)} examples, got one value")
    if len(np.unique(predictions)) < 2:
        return dict.fromkeys(("pearson", "spearman", "pearson_spearman"), 0.0)
    pearson, spearman = float(pearsonr(labels, predictions)[0]), float(spearmanr(labels, predictions)[0])
    return {"pearson": pearson, "spearman": spearman, "pearson_spearman": (pearson + spearman) / 2}
