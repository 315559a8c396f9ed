"""End-task losses on outputs and labels, with missing labels left out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def masked_loss(outputs: Tensor, labels: Tensor, kind: Literal["classification", "regression"]) -> Tensor:
    """Return the mean loss over the labels that are not NaN, 0 (with gradient 0) if all are.

    Binary cross-entropy on logits for classification, squared error for regression.

    Parameters
    ----------
    outputs, labels: (b, t).
    """
    if outputs.shape != labels.shape:
        raise ValueError(f"outputs {tuple(outputs.shape)} and labels {tuple(labels.shape)} must have one shape")
    valid = ~labels.isnan()
    # Missing labels are replaced before the loss: NaN times 0 is NaN in the gradient.
    known = torch.where(valid, labels, torch.zeros_like(labels))
    loss = functional.binary_cross_entropy_with_logits if kind == "classification" else functional.mse_loss
    losses = loss(outputs, known, reduction="none")
    return (losses * valid).sum() / valid.sum().clamp(min=1)


def pairwise_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean over ordered pairs of log(1 + exp(-(o_a - o_b))), a's label above b's; 0 without a pair.

    For classes a smooth surrogate of 1 - AUC, for values of the rank correlation. Adding a constant to
    the outputs changes nothing.

    Parameters
    ----------
    outputs, labels: (b, t); NaN where a label is missing. Pairs are taken within each of the t targets.
    """
    above = labels[:, None] > labels[None]  # (b, b, t); False where either is NaN
    losses = functional.softplus(outputs[None] - outputs[:, None])
    return (losses * above).sum() / above.sum().clamp(min=1)
