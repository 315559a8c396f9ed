"""The end-task loss where labels are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tasks.losses import masked_loss


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_masked_loss_is_the_mean_over_valid_entries(kind: Any) -> None:
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn((6, 4), generator=draws, requires_grad=True)
    labels = torch.randint(2, (6, 4), generator=draws).float()
    labels[torch.rand((6, 4), generator=draws) < 0.5] = torch.nan
    entries = []
    for output, label in zip(outputs.flatten().tolist(), labels.flatten().tolist(), strict=True):
        if not np.isnan(label):
            p = 1 / (1 + np.exp(-output))
            bce = -(label * np.log(p) + (1 - label) * np.log(1 - p))
            entries.append(bce if kind == "classification" else (output - label) ** 2)
    loss = masked_loss(outputs, labels, kind)
    assert loss.item() == pytest.approx(np.mean(entries), rel=1e-5)
    loss.backward()
    assert outputs.grad is not None
    assert bool((outputs.grad[labels.isnan()] == 0).all())
    assert bool((outputs.grad[~labels.isnan()] != 0).all())


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_no_valid_label_gives_zero_and_zero_gradient(kind: Any) -> None:
    outputs = torch.randn(3, 2, requires_grad=True)
    loss = masked_loss(outputs, torch.full((3, 2), torch.nan), kind)
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert bool((outputs.grad == 0).all())


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        masked_loss(torch.zeros(3, 1), torch.zeros(3), "regression")
