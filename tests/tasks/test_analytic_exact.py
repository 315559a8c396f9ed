"""The closed forms of the quadratic problems: slopes by differences, optima by a grid, and the known answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.analytic import exact, quadratic
from tasks.analytic.exact import BiLevel, EndTask, TriLevel
from tasks.analytic.quadratic import D, K
from tests.methods.analytic import levels

both = pytest.mark.parametrize("name", quadratic.TASKS)


@both
def test_the_exact_hypergradient_is_the_slope_of_the_loss(name: str) -> None:
    s, step = np.array([0.4, 0.3, 0.2, 0.1]), 1e-5
    weaker = replace(levels(name)[0], gamma=0.05)
    for problem in (*levels(name), weaker):
        slopes = [(problem.loss(s + step * e) - problem.loss(s - step * e)) / (2 * step) for e in np.eye(4)]
        np.testing.assert_allclose(problem.gradient(s), slopes, rtol=1e-6)


@both
def test_the_lower_levels_are_solved(name: str) -> None:
    data, s, gamma = quadratic.quadratic(name), np.array([0.4, 0.3, 0.2, 0.1]), 0.5
    theta = exact.pretrained(data, s)
    np.testing.assert_allclose(s @ exact.objective_gradients(data, theta), 0, atol=1e-12)
    train, val = EndTask.part(data, "train"), EndTask.part(data, "val")
    p = TriLevel(data, gamma, train, val).adapted(theta)
    pull = np.concatenate([2 * gamma * (p[:D] - theta), np.zeros(K)])
    np.testing.assert_allclose(train.gradient(p) + pull, 0, atol=1e-12)
    p = BiLevel(data, 2.0, train, val).adapted(s)
    pull = np.concatenate([s @ exact.objective_gradients(data, p[:D]), np.zeros(K)])
    np.testing.assert_allclose(2.0 * train.gradient(p) + pull, 0, atol=1e-12)


def test_with_one_curvature_the_best_weights_are_known_and_the_identity_is_exact_up_to_scale() -> None:
    for problem in levels("isotropic"):
        np.testing.assert_allclose(exact.best(problem, 4), [0.7, 0.3, 0, 0], atol=1e-5)
        np.testing.assert_allclose(exact.settled(problem.identity, 4), [0.7, 0.3, 0, 0], atol=1e-5)
        for s in (np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])):
            np.testing.assert_allclose(problem.identity(s) / problem.gradient(s), 2, rtol=1e-9)


def test_with_different_curvatures_the_identity_rests_elsewhere() -> None:
    for problem in levels("skewed"):
        best, rest = exact.best(problem, 4), exact.settled(problem.identity, 4)
        np.testing.assert_allclose(exact.settled(problem.gradient, 4), best, atol=1e-4)
        assert problem.loss(best) + 1e-3 < problem.loss(rest) < problem.loss(np.full(4, 0.25))


def test_the_best_weights_are_better_than_a_grid() -> None:
    steps = np.linspace(0, 1, 11)
    grid = [np.array([a, b, c, 1 - a - b - c]) for a in steps for b in steps for c in steps if a + b + c <= 1 + 1e-9]
    for name in quadratic.TASKS:
        for problem in levels(name):
            best = problem.loss(exact.best(problem, 4))
            assert best <= min(problem.loss(s) for s in grid) + 1e-9
            assert best > 0


def test_weights_that_never_rest_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "ROUNDS", 10)
    with pytest.raises(ArithmeticError, match="come to rest"):
        exact.settled(lambda s: s, 3, rate=1e-3, tolerance=0.0)
