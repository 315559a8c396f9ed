"""End-task losses on outputs and labels, with missing labels left out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def masked_loss(outputs: Tensor, labels: Tensor, kind: Literal["classification", "classes", "regression"]) -> Tensor:
    """Return the mean loss over the labels that are not NaN, 0 (with gradient 0) if all are.

    Binary cross-entropy on logits for classification, cross-entropy for one of K classes, squared error
    for regression.

    Parameters
    ----------
    outputs: (b, t), or (b, K) for classes.
    labels: (b, t), or (b, 1) with the number of the class.
    """
    if kind == "classes":
        return _one_of_many(outputs, labels)
    if outputs.shape != labels.shape:
        raise ValueError(f"outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)} must have one shape")
    valid = ~labels.isnan()
    # Missing labels are replaced before the loss: NaN times 0 is NaN in the gradient.
    known = torch.where(valid, labels, torch.zeros_like(labels))
    loss = functional.binary_cross_entropy_with_logits if kind == "classification" else functional.mse_loss
    losses = loss(outputs, known, reduction="none")
    return (losses * valid).sum() / valid.sum().clamp(min=1)


def _one_of_many(outputs: Tensor, labels: Tensor) -> Tensor:
    if labels.shape != (len(outputs), 1):
        raise ValueError(f"labels of classes must have shape ({len(outputs)}, 1), got {tuple(labels.shape)}")
    valid = ~labels[:, 0].isnan()
    known = torch.where(valid, labels[:, 0], torch.zeros_like(labels[:, 0])).long()
    losses = functional.cross_entropy(outputs, known, reduction="none")
    return (losses * valid).sum() / valid.sum().clamp(min=1)


def pairwise_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over ordered pairs of log(1 + exp(-(o_a - o_b))), a's label above b's; 0 without a pair.

    For classes a smooth surrogate of 1 - AUC, for values of the rank correlation. Adding a constant to
    the outputs changes nothing.

    Parameters
    ----------
    outputs, labels: (b, t); NaN where a label is missing. Pairs are taken within each of the t targets.
        Or (b, K) and (b, 1) with the number of the class: then each class against the others is a target.
    """
    if outputs.shape[1] > 1 and labels.shape[1] == 1:
        missing = labels.isnan()
        among = labels == torch.arange(outputs.shape[1], device=labels.device)
        labels = torch.where(missing, labels, among.to(labels.dtype))
    above = labels[:, None] > labels[None]  # (b, b, t); False where either is NaN
    losses = functional.softplus(outputs[None] - outputs[:, None])
    return (losses * above).sum() / above.sum().clamp(min=1)
