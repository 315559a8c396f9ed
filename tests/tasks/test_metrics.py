"""Scores: known answers, scikit-learn on complete data, and the edge cases of missing labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error

from tasks.info import TaskInfo
from tasks.metrics import ScoreError, evaluate

NAN = np.nan


def task(kind: str, outputs: int) -> TaskInfo:
    return TaskInfo(
        suite="test",
        name="set",
        title="Set",
        kind=kind,
        metric="roc_auc" if kind == "classification" else "mae",
        file="test/set.csv",
        targets=tuple(f"y{target}" for target in range(outputs)),
        rows=10,
    )


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_auc_by_hand() -> None:
    # Of the 2 x 2 pairs of a positive and a negative, one is won, one tied, two lost.
    scores = evaluate(task("classification", 1), column(1, 1, 0, 0), column(0.5, 0.1, 0.5, 0.3), None)
    assert scores == {"roc_auc": pytest.approx(1.5 / 4), "targets_used": 1.0}


@given(st.integers(0, 2**32 - 1))
def test_auc_equals_sklearn_on_complete_data_and_ignores_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random((40, 3)) < 0.5).astype(float)
    labels[:2] = [[0], [1]]
    predictions = random.normal(size=(40, 3)).round(1)
    scores = evaluate(task("classification", 3), labels, predictions, None)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(labels, predictions, average="macro"))
    order = random.permutation(40)
    assert evaluate(task("classification", 3), labels[order], predictions[order], None) == pytest.approx(scores)
    # Any rising function of the score gives the same.
    assert evaluate(task("classification", 3), labels, 1 / (1 + np.exp(-predictions)), None) == pytest.approx(scores)


def test_targets_without_both_classes_are_skipped() -> None:
    labels = np.array([[1, 1, NAN, 0], [0, 1, NAN, NAN], [1, NAN, NAN, 0], [NAN, 1, NAN, 1]])
    predictions = np.array([[0.9, 0.1, 5, 0.2], [0.1, 0.2, 5, 0.9], [0.8, 0.3, 5, 0.5], [-9.0, 0.4, 5, 0.3]])
    scores = evaluate(task("classification", 4), labels, predictions, None)
    assert scores == {"roc_auc": pytest.approx((1.0 + 0.5) / 2), "targets_used": 2.0}


@pytest.mark.parametrize("labels", [column(1, 1, 1), column(0, 0, NAN), column(NAN, NAN, NAN)])
def test_no_usable_target_is_an_error(labels: np.ndarray) -> None:
    with pytest.raises(ScoreError, match="test:set: expected a target with both classes"):
        evaluate(task("classification", 1), labels, column(1, 2, 3), None)


def test_errors_by_hand_over_two_targets() -> None:
    labels = np.array([[0.0, 10], [0, NAN], [0, 30]])
    predictions = np.array([[3.0, 20], [0, 999], [3, 30]])
    scores = evaluate(task("regression", 2), labels, predictions, np.array([2.0, 10]))
    assert scores == pytest.approx(
        {
            "rmse": (np.sqrt(18 / 3) + np.sqrt(100 / 2)) / 2,
            "mae": (2 + 5) / 2,
            "mae_normalised": (2 / 2 + 5 / 10) / 2,
            "mae[y0]": 2,
            "mae[y1]": 5,
        }
    )


@given(st.integers(0, 2**32 - 1))
def test_errors_equal_sklearn_on_complete_data(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, predictions = random.normal(size=(2, 20, 3)) * [1, 10, 100]
    scores = evaluate(task("regression", 3), labels, predictions, None)
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(labels, predictions))
    assert scores["mae"] == pytest.approx(mean_absolute_error(labels, predictions))
    assert "mae_normalised" not in scores


def test_one_target_has_no_breakdown() -> None:
    scores = evaluate(task("regression", 1), column(1, 2), column(1, 4), np.array([4.0]))
    assert scores == pytest.approx({"rmse": np.sqrt(2), "mae": 1, "mae_normalised": 0.25})


def test_a_regression_target_without_labels_is_left_out() -> None:
    labels = np.array([[1.0, NAN], [2, NAN]])
    scores = evaluate(task("regression", 2), labels, np.zeros((2, 2)), np.array([1.0, NAN]))
    assert scores == pytest.approx({"rmse": np.sqrt(2.5), "mae": 1.5, "mae_normalised": 1.5, "mae[y0]": 1.5})
    with pytest.raises(ScoreError, match="expected a target with labels"):
        evaluate(task("regression", 2), np.full((2, 2), NAN), np.zeros((2, 2)), None)


@pytest.mark.parametrize("value", [NAN, np.inf])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_predictions_that_are_not_finite_name_the_task(kind: str, value: float) -> None:
    with pytest.raises(ScoreError, match="test:set: expected finite predictions, got 1 of 3"):
        evaluate(task(kind, 1), column(1, 0, NAN), column(0, 1, value), None)


def test_a_constant_training_target_is_named() -> None:
    with pytest.raises(ScoreError, match="sigma 0 for y0"):
        evaluate(task("regression", 1), column(1, 2), column(1, 2), np.array([0.0]))


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 1)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 1\)"):
        evaluate(task("regression", 1), column(1, 2, 3), np.zeros(shape), None)
