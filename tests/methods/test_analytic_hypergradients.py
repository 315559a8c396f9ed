"""Every hypergradient through a problem and a stage, against implicit differentiation in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.analytic import exact
from tasks.analytic.quadratic import Array
from tests.methods.analytic import GAMMA, Run, levels

S = np.full(4, 0.25)  # a rule's first weights; with rate 0 they stay
SOLVE = 400  # steps after which both lower levels are solved
FACTOR = {"tapweight": -2 * GAMMA, "tapweight-blo": -1.0}  # of q in d L_val / d s
scheme = pytest.mark.parametrize("method", FACTOR)
both = pytest.mark.parametrize("name", ["isotropic", "skewed"])


def measured(method: str, name: str, hypergradient: str, **options: Any) -> Array:
    """d L_val / d s at equal weights, once the lower levels are solved, as the stage measures it."""
    section = method.replace("-", "_of_")
    changes = {"rate": 0, "hypergradient__name": hypergradient}
    changes |= {f"hypergradient__{key}": value for key, value in options.items()}
    if method == "tapweight":
        changes |= {"unroll_two": SOLVE} | ({"point": "pre"} if hypergradient == "one-sided" else {})
    else:
        changes |= {"unroll": SOLVE}
    # Point "pre" measures before the step after.
    steps = SOLVE + (changes.get("point") == "pre")
    found = Run(
        method, name, continued__steps=steps, **{f"{section}__{key}": value for key, value in changes.items()}
    ).rows("alignment")
    assert len(found) == 1
    answer: Array = FACTOR[method] * found[0]
    return answer


def known(method: str, name: str) -> exact.Levels:
    three, two = levels(name)
    return two if "blo" in method else three


def error(found: Array, expected: Array) -> float:
    """The largest difference, relative to the largest entry."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@scheme
@both
@pytest.mark.parametrize(
    ("hypergradient", "tolerance"),
    # Differences of quadratics: the two-sided one has no error but rounding, the one-sided one radius x curvature.
    [("forward", 1e-8), ("backward", 1e-8), ("central", 1e-8), ("as-released", 1e-7), ("one-sided", 0.02)],
)
def test_the_default_and_its_equals_give_the_identity_s_answer(
    method: str, name: str, hypergradient: str, tolerance: float
) -> None:
    assert error(measured(method, name, hypergradient), known(method, name).identity(S)) < tolerance


@scheme
def test_conjugate_gradients_converge_to_the_implicit_gradient(method: str) -> None:
    expected = known(method, "skewed").gradient(S)
    errors = [error(measured(method, "skewed", "conjugate-gradients", terms=k), expected) for k in (1, 3, 6, 12)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.01
    assert errors[-1] < 1e-6


@scheme
def test_neumann_series_converges_to_the_implicit_gradient(method: str) -> None:
    expected = known(method, "skewed").gradient(S)
    errors = [error(measured(method, "skewed", "neumann", terms=k, step=0.3), expected) for k in (1, 10, 40, 160)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-4


@scheme
def test_with_one_curvature_one_conjugate_gradient_is_nearly_enough(method: str) -> None:
    """Level I is solved by one term, and what the head adds to the other Hessian by few."""
    expected = known(method, "isotropic").gradient(S)
    assert error(measured(method, "isotropic", "conjugate-gradients", terms=4), expected) < 1e-6
    # What the identity leaves out is a factor, the same for all objectives.
    assert error(measured(method, "isotropic", "forward") / 2, expected) < 1e-8
    assert error(measured(method, "skewed", "forward"), known(method, "skewed").gradient(S)) > 0.1
