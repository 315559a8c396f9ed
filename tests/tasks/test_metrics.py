"""Scores: known answers, scikit-learn on complete data, and the edge cases of missing labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)

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


def text(kind: str, classes: tuple[str, ...] = ()) -> TaskInfo:
    return TaskInfo.model_validate(
        {
            "suite": "test",
            "name": "set",
            "title": "Set",
            "inputs": "text",
            "kind": kind,
            "metric": "accuracy" if classes else "pearson_spearman",
            "split": "seeded",
            "rows": 10,
            "text": {
                "format": "tsv",
                "first": "a",
                "label": "y",
                "classes": classes,
                "train": {"file": "test/train.tsv", "rows": 8},
                "test": {"test": {"file": "test/test.tsv", "rows": 2}},
            },
        }
    )


def chosen(*numbers: int, classes: int) -> np.ndarray:
    """Scores of which the largest is that of the class named."""
    return np.eye(classes)[list(numbers)] - 7


def test_two_classes_by_hand() -> None:
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    labels = column(1, 1, 1, 0, 1, 1, 0, 0, 0, 0)
    scores = evaluate(text("classes", ("no", "yes")), labels, chosen(1, 1, 1, 1, 0, 0, 0, 0, 0, 0, classes=2), None)
    no = 2 * 4 / (2 * 4 + 2 + 1)
    yes = 2 * 3 / (2 * 3 + 1 + 2)
    assert scores == pytest.approx(
        {
            "accuracy": 0.7,
            "micro_f1": 0.7,
            "macro_f1": (no + yes) / 2,
            "f1": yes,
            "matthews": (3 * 4 - 1 * 2) / np.sqrt(4 * 5 * 5 * 6),
        }
    )


def test_macro_f1_counts_a_class_that_is_chosen_but_absent() -> None:
    # Class 2 has no example and is chosen once: its F1 is 0. Class 3 is neither, and is left out.
    info = text("classes", ("a", "b", "c", "d"))
    scores = evaluate(info, column(0, 0, 1, 1), chosen(0, 2, 1, 1, classes=4), None)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert scores["micro_f1"] == scores["accuracy"] == 0.75
    assert "f1" not in scores


@given(st.integers(0, 2**32 - 1), st.integers(2, 13))
def test_scores_of_classes_equal_sklearn_and_ignore_order_and_scale(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels, outputs = random.integers(classes, size=40), random.normal(size=(40, classes))
    info = text("classes", tuple(map(str, range(classes))))
    scores = evaluate(info, labels[:, None].astype(float), outputs, None)
    guess = outputs.argmax(axis=1)
    assert scores["accuracy"] == pytest.approx(np.mean(guess == labels))
    assert scores["micro_f1"] == pytest.approx(scores["accuracy"])
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, guess, average="macro", zero_division=0))
    assert scores["matthews"] == pytest.approx(matthews_corrcoef(labels, guess))
    order = random.permutation(40)
    shifted = 3 * outputs[order] + random.normal(size=(40, 1))
    assert evaluate(info, labels[order, None].astype(float), shifted, None) == pytest.approx(scores)


def test_one_class_chosen_throughout_has_no_correlation() -> None:
    scores = evaluate(text("classes", ("no", "yes")), column(0, 1, 1, 1), chosen(1, 1, 1, 1, classes=2), None)
    assert scores == pytest.approx({"accuracy": 0.75, "micro_f1": 0.75, "macro_f1": 3 / 7, "f1": 6 / 7, "matthews": 0})


def test_rows_without_a_class_do_not_count() -> None:
    info = text("classes", ("no", "yes"))
    labels, outputs = column(0, NAN, 1, 1), chosen(0, 0, 1, 0, classes=2)
    assert evaluate(info, labels, outputs, None) == evaluate(info, labels[[0, 2, 3]], outputs[[0, 2, 3]], None)
    with pytest.raises(ScoreError, match="test:set: expected labels among 2 examples, got none"):
        evaluate(info, column(NAN, NAN), chosen(0, 1, classes=2), None)


def test_correlations_by_hand() -> None:
    # Ranks of the predictions: 1, 2, 3.5, 3.5 against 1, 2, 3, 4.
    labels, predictions = column(0, 1, 3, 5), column(-2, 0, 4, 4)
    scores = evaluate(text("regression"), labels, predictions, np.array([2.0]))
    pearson = np.corrcoef(labels[:, 0], predictions[:, 0])[0, 1]
    spearman = np.corrcoef([1, 2, 3, 4], [1, 2, 3.5, 3.5])[0, 1]
    assert scores["pearson"] == pytest.approx(pearson)
    assert scores["spearman"] == pytest.approx(spearman)
    assert scores["pearson_spearman"] == pytest.approx((pearson + spearman) / 2)
    assert scores["mae"] == pytest.approx((2 + 1 + 1 + 1) / 4)
    assert scores["mae_normalised"] == pytest.approx(scores["mae"] / 2)


@given(st.integers(0, 2**32 - 1))
def test_correlations_ignore_units_and_order_of_rows(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, predictions = random.normal(size=(2, 30, 1))
    names = ("pearson", "spearman", "pearson_spearman")
    scores = evaluate(text("regression"), labels, predictions, None)
    order = random.permutation(30)
    moved = evaluate(text("regression"), 5 * labels[order] + 2, 9 * predictions[order] - 1, None)
    assert [moved[name] for name in names] == pytest.approx([scores[name] for name in names])
    turned = evaluate(text("regression"), labels, -predictions, None)
    assert [turned[name] for name in names] == pytest.approx([-scores[name] for name in names])
    # A rising function keeps the ranks.
    assert evaluate(text("regression"), labels, np.exp(predictions), None)["spearman"] == pytest.approx(
        scores["spearman"]
    )


def test_constant_predictions_order_nothing_and_constant_labels_are_named() -> None:
    scores = evaluate(text("regression"), column(1, 2, 3), column(2, 2, 2), None)
    assert (scores["pearson"], scores["spearman"], scores["pearson_spearman"]) == (0, 0, 0)
    with pytest.raises(ScoreError, match="test:set: expected labels that vary among 3 examples, got one value"):
        evaluate(text("regression"), column(2, 2, 2), column(1, 2, 3), None)


def test_correlations_are_those_of_text_alone() -> None:
    assert "pearson" not in evaluate(task("regression", 1), column(1, 2, 3), column(1, 2, 4), None)


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2)), ((3, 1), (3, 3)), ((2, 1), (3, 2))])
def test_shapes_of_classes_must_agree(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    labels, outputs = (np.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"expected \(N, 2\)"):
        evaluate(text("classes", ("no", "yes")), labels, outputs, None)
