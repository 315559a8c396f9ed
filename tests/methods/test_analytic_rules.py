"""Rules without labels, and search, on quadratics: each comes to rest where its definition says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.analytic import exact
from tasks.analytic.quadratic import SIZES, Array, quadratic
from tests.methods.analytic import SGD, Run

both = pytest.mark.parametrize("name", ["isotropic", "skewed"])


# --- rules that read losses


def inverse_losses(name: str, run: Run) -> Array:
    """The weights s proportional to 1 / L_i at theta*(s), by iteration; L_i as logged, with the scatter's constant."""
    data = quadratic(name)
    constants = run.rows("losses")[-1] - losses_at(data, run.theta)
    s = np.full(4, 0.25)
    for _ in range(500):
        rest = 1 / (losses_at(data, exact.pretrained(data, s)) + constants)
        s = 0.5 * s + 0.5 * rest / rest.sum()
    return s


def losses_at(data: Any, theta: Array) -> Array:
    apart = theta - data.centres
    found: Array = np.einsum("ni,nij,nj->n", apart, data.curvatures, apart) / 2
    return found


@both
@pytest.mark.parametrize(
    ("method", "options"),
    [("uncertainty", {"uncertainty__rate": 0.1}), ("famo", {"famo__beta": 0.5, "famo__gamma": 0.1})],
)
def test_uncertainty_and_famo_rest_where_weights_are_inverse_to_losses(
    method: str, options: dict[str, float], name: str
) -> None:
    """Uncertainty where exp(eta_i) = L_i; FAMO, once losses no longer fall, where its logits have decayed to 0."""
    run = Run(method, name, continued__steps=500, **options)
    inverse = 1 / run.rows("losses")[-1]
    np.testing.assert_allclose(run.weights, inverse / inverse.sum(), atol=1e-5)
    np.testing.assert_allclose(run.weights, inverse_losses(name, run), atol=1e-4)
    np.testing.assert_allclose(run.theta, exact.pretrained(quadratic(name), run.weights), atol=1e-4)
    assert run.weights.argmin() == 3, "the harmful objective's loss is the largest, and that is all they know"


@both
def test_dwa_rests_at_equal_weights(name: str) -> None:
    run = Run("dwa", name, continued__steps=300, dwa__window=5)
    np.testing.assert_allclose(run.weights, 0.25, atol=1e-6)
    assert np.abs(run.rows() - 0.25).max() > 1e-3, "while losses fall they differ"
    np.testing.assert_allclose(run.theta, exact.pretrained(quadratic(name), run.weights), atol=1e-4)


def test_random_weights_are_equal_on_average() -> None:
    rows = Run("rlw", continued__steps=2000).rows()
    spread = rows.std(0) / np.sqrt(len(rows))
    assert (np.abs(rows.mean(0) - 0.25) < 4 * spread).all()
    assert rows.std(0).min() > 0.1


# --- rules that read the gradients of the objectives


@both
def test_upgrad_rests_at_a_point_where_no_objective_can_gain_alone(name: str) -> None:
    """Pareto stationary: a convex combination of the gradients vanishes, and the rule finds it."""
    run = Run("upgrad", name, continued__steps=1500)
    gradients = exact.objective_gradients(quadratic(name), run.theta)
    assert np.abs(gradients).max() > 0.5, "each of them still pulls"
    assert np.linalg.norm(run.weights @ gradients) < 1e-3
    np.testing.assert_allclose(run.theta, exact.pretrained(quadratic(name), run.weights), atol=1e-2)


@both
def test_pcgrad_stays_near_such_a_point(name: str) -> None:
    """Its projections come in random order, so that the weights do not rest; their mean does."""
    run = Run("pcgrad", name, continued__steps=1000)
    mean = run.rows()[-500:].mean(0)
    gradients = exact.objective_gradients(quadratic(name), run.theta)
    assert np.linalg.norm(mean @ gradients) < 0.1 * np.linalg.norm(gradients, axis=1).min()
    assert run.rows()[-500:].std(0).max() > 1e-3


# --- search


@pytest.mark.parametrize("method", ["search-random", "search-tpe"])
def test_search_keeps_the_best_of_its_trials(method: str) -> None:
    if method == "search-tpe":
        pytest.importorskip("optuna")
    options: dict[str, Any] = {f"finetune__optimiser__{key}": value for key, value in SGD.items()}
    run = Run(
        method, continued__steps=30, finetune__epochs=6, finetune__batch=SIZES["train"], finetune__optimiser__lr=0.1,
        search__trials=25, **options,
    )  # fmt: skip
    trials = run.result.log["trials"]
    values = [trial["value"] for trial in trials]
    best = trials[int(np.argmin(values))]["weights"]
    assert run.weights.tolist() == best
    assert best[0] > 0.4, "helpful"
    assert min(values) < values[0] - 0.05, "better than equal weights, the first trial"
    np.testing.assert_allclose(run.theta, exact.pretrained(quadratic("isotropic"), np.array(best)), atol=1e-3)
