"""The end-task loss where labels are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tasks.losses import masked_loss, pairwise_loss


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


def test_the_loss_of_classes_is_cross_entropy_over_rows_with_a_label() -> None:
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn((6, 4), generator=draws, requires_grad=True)
    labels = torch.tensor([[3.0], [0.0], [torch.nan], [1.0], [1.0], [torch.nan]])
    entries = []
    for output, label in zip(outputs.tolist(), labels[:, 0].tolist(), strict=True):
        if not np.isnan(label):
            entries.append(np.log(np.sum(np.exp(output))) - output[int(label)])
    loss = masked_loss(outputs, labels, "classes")
    assert loss.item() == pytest.approx(np.mean(entries), rel=1e-5)
    loss.backward()
    assert outputs.grad is not None
    assert bool((outputs.grad[[2, 5]] == 0).all())
    assert bool((outputs.grad[[0, 1, 3, 4]] != 0).all())


def test_two_classes_have_the_loss_of_a_yes_or_no_on_the_difference() -> None:
    outputs = torch.randn((5, 2), generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[0.0], [1.0], [1.0], [torch.nan], [0.0]])
    one = masked_loss(outputs, labels, "classes")
    assert one.item() == pytest.approx(
        masked_loss(outputs[:, 1:] - outputs[:, :1], labels, "classification").item(), rel=1e-5
    )


def test_classes_without_a_label_give_zero_and_zero_gradient() -> None:
    outputs = torch.randn(3, 4, requires_grad=True)
    loss = masked_loss(outputs, torch.full((3, 1), torch.nan), "classes")
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert bool((outputs.grad == 0).all())


@pytest.mark.parametrize("labels", [torch.zeros(3), torch.zeros(3, 4), torch.zeros(1, 1)])
def test_labels_of_classes_are_one_column(labels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(3, 1\)"):
        masked_loss(torch.zeros(3, 4), labels, "classes")


def test_pairs_of_classes_are_those_of_each_class_against_the_others() -> None:
    outputs = torch.randn((7, 3), generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([0.0, 2.0, 1.0, torch.nan, 2.0, 0.0, 2.0])
    entries = [
        np.log1p(np.exp(outputs[b, k].item() - outputs[a, k].item()))
        for k in range(3)
        for a in range(7)
        for b in range(7)
        if labels[a] == k and labels[b] != k and not labels[b].isnan()
    ]
    assert len(entries) == 2 * 4 + 1 * 5 + 3 * 3
    loss = pairwise_loss(outputs, labels[:, None])
    assert loss.item() == pytest.approx(np.mean(entries), rel=1e-5)
    assert pairwise_loss(outputs + torch.tensor([1.0, -2.0, 3.0]), labels[:, None]).item() == pytest.approx(loss.item())


def test_a_single_class_has_no_pair() -> None:
    outputs = torch.randn(4, 3, requires_grad=True)
    loss = pairwise_loss(outputs, torch.ones(4, 1))
    loss.backward()
    assert loss.item() == 0
    assert outputs.grad is not None
    assert bool((outputs.grad == 0).all())
