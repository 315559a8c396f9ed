"""Targets that training sees, and scores in the units of the task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import RequestError
from tasks.labels import Labels, labels_of
from tasks.sealed import TestKey, TestSplitError
from tasks.settings import LabelSettings
from tests.tasks.test_metrics import task


@dataclass
class Table:
    """Eight rows of two columns, one label missing; the last two rows are the test part."""

    labels: NDArray[np.float64]
    train = np.arange(4)
    val = np.array([5, 4])
    test = np.array([6, 7])


def table() -> Table:
    labels = np.arange(16, dtype=np.float64).reshape(8, 2) ** 2
    labels[1, 1] = np.nan
    return Table(labels)


RAW, STANDARDISED = LabelSettings(standardise=False), LabelSettings(standardise=True)


def made(standardise: bool = True) -> tuple[Labels, TestKey]:
    return labels_of(table(), task("regression", 2), STANDARDISED if standardise else RAW, 0)


def test_standardised_targets_have_mean_0_and_sd_1_in_the_training_part() -> None:
    targets = made()[0].targets("train").numpy()
    np.testing.assert_allclose(np.nanmean(targets, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(targets, axis=0), 1)
    assert np.isnan(targets[1, 1])
    np.testing.assert_array_equal(made(standardise=False)[0].targets("val"), table().labels[[5, 4]])


def test_a_constant_column_is_shifted_alone() -> None:
    flat = table()
    flat.labels[:, 0] = 3
    targets = labels_of(flat, task("regression", 2), STANDARDISED, 0)[0].targets("train")
    assert (targets[:, 0] == 0).all()


def test_shuffled_targets_are_those_of_validation_in_an_order_that_the_seed_decides() -> None:
    many = Table(np.arange(100.0)[:, None])
    many.val = np.arange(10, 90)
    labels, again, other = (labels_of(many, task("regression", 1), RAW, seed)[0] for seed in (0, 0, 1))
    true, null = labels.targets("val"), labels.targets("val-null")
    assert torch.equal(null, again.targets("val-null"))
    assert not torch.equal(null, other.targets("val-null"))
    assert not torch.equal(null, true)
    assert torch.equal(null.sort(dim=0).values, true)
    assert torch.equal(labels.rows("val-null"), labels.rows("val"))


def test_weights_may_learn_from_a_part_of_validation_that_is_not_scored() -> None:
    many = Table(np.arange(100.0)[:, None])
    many.val = np.arange(10, 90)
    settings = LabelSettings(standardise=False, weights_share=0.25)
    labels, again, other = (labels_of(many, task("regression", 1), settings, seed)[0] for seed in (0, 0, 1))
    learned, scored = set(labels.rows("val").tolist()), set(labels.parts["val"].tolist())
    assert (len(learned), len(scored)) == (20, 60)
    assert learned | scored == set(range(10, 90))
    assert torch.equal(labels.rows("val"), again.rows("val"))
    assert not torch.equal(labels.rows("val"), other.rows("val"))
    assert set(labels.targets("val-null")[:, 0].tolist()) == learned
    assert labels.score(np.array(sorted(scored), dtype=float)[:, None], "val", None)["rmse"] == 0
    assert torch.equal(labels.rows("train"), torch.arange(4))


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_that_leaves_one_side_nothing_is_refused(share: float) -> None:
    settings = LabelSettings(standardise=False, weights_share=share)
    many = Table(np.arange(100.0)[:, None])
    with pytest.raises(RequestError, match=r"labels\.weights_share: expected a share .* got 0\.[09]+1? of \d+"):
        labels_of(many, task("regression", 1), settings, 0)


@pytest.mark.parametrize("standardise", [True, False])
def test_outputs_that_equal_the_targets_have_no_error(standardise: bool) -> None:
    labels, key = made(standardise)
    outputs = labels.targets("val").numpy()
    assert labels.score(outputs, "val", None)["rmse"] == pytest.approx(0, abs=1e-12)
    shifted = labels.score(outputs + 1, "val", None)["rmse"]
    sigma = np.nanstd(table().labels[:4], axis=0)
    assert shifted == pytest.approx(sigma.mean() if standardise else 1)
    with pytest.raises(TestSplitError):
        labels.score(outputs, "test", TestKey())
    assert labels.score(outputs, "test", key)["rmse"] > 0


def test_a_part_of_a_part_is_scored_by_itself() -> None:
    labels, key = made(standardise=False)
    outputs = table().labels[[6, 7]] + np.array([[1.0], [3.0]])
    assert labels.score(outputs, "test", key)["mae"] == pytest.approx(2)
    assert labels.score(outputs, "test", key, torch.tensor([7]))["mae"] == pytest.approx(3)
