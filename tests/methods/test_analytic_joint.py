"""Joint training on quadratics: a second implementation of each rule, where it rests, and TARTAN's pathology."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from methods.stages import metahead
from methods.stages.metahead import ValidationGradient
from tasks.analytic import exact
from tasks.analytic.exact import EndTask
from tasks.analytic.quadratic import SHIFT, TARGET, Array, D, quadratic
from tests.methods.analytic import WHOLE, Run, built, levels, settings_of

both = pytest.mark.parametrize("name", ["isotropic", "skewed"])
TRUTH, BIASED = np.array(TARGET), np.add(TARGET, SHIFT)
SEEN = slice(0, D - 2)  # what the downstream head does not read
RATE = float(WHOLE["continued.optimiser.lr"])  # type: ignore[arg-type]


class Joint:
    """Joint training on whole parts as a recursion on numbers: a second implementation of stage and rules."""

    def __init__(self, name: str, weigh: Callable[[Joint], Array], steps: int, after: bool, null: bool) -> None:
        three, _ = levels(name, null_seed=0 if null else None)
        self.data, self.train, self.val = three.data, three.train, three.val
        problem, _ = built(name)
        (theta,), (phi,) = (module.parameters() for module in (problem.encoder(), problem.downstream_head()))
        self.p = np.concatenate([theta.detach().numpy(), phi.detach().numpy()])
        self.s, rows = np.full(5, 0.2), []
        for _ in range(steps):
            end = self.train.gradient(self.p)
            self.gradients = np.concatenate([exact.objective_gradients(self.data, self.p[:D]), end[None, :D]])
            learned = weigh(self)
            used = self.s if after else learned
            step = np.concatenate([used @ self.gradients, used[-1] * end[D:]])  # heads carry the weight of their term
            self.p, self.s = self.p - RATE * step, learned
            rows.append(learned)
        self.rows = np.array(rows)

    @property
    def cosines_with_the_end_task(self) -> Array:
        norms = np.linalg.norm(self.gradients, axis=1)
        found: Array = self.gradients[:-1] @ self.gradients[-1] / (norms[:-1] * norms[-1])
        return found


def gradcos(joint: Joint) -> Array:
    w = np.append(np.maximum(0, joint.cosines_with_the_end_task), 1)
    return w / w.sum()


class OlAux:
    def __init__(self, beta: float, interval: int) -> None:
        self.beta, self.interval, self.w, self.sums = beta, interval, np.ones(4), list[Array]()

    def __call__(self, joint: Joint) -> Array:
        self.sums.append(RATE * joint.gradients[:-1] @ joint.gradients[-1])
        if len(self.sums) % self.interval == 0:
            self.w = np.maximum(0, self.w + self.beta * sum(self.sums[-self.interval :]))
        w = np.append(self.w, 1)
        return w / w.sum()


class MetaTartanShared:
    def __init__(self, eta: float) -> None:
        self.eta, self.w = eta, np.zeros(5)

    def __call__(self, joint: Joint) -> Array:
        v = joint.val.gradient(joint.p)[:D]
        self.w = self.w + self.eta * joint.gradients @ v / np.linalg.norm(v) / np.linalg.norm(joint.gradients, axis=1)
        e = np.exp(self.w)
        return e / e.sum()


class AutoLambda:
    def __init__(self, rate: float) -> None:
        self.parameter = torch.full((5,), 0.1, dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.parameter], lr=rate)

    def __call__(self, joint: Joint) -> Array:
        shift = np.zeros_like(joint.p)
        shift[:D] = -RATE * joint.s @ joint.gradients
        v = joint.val.gradient(joint.p + shift)[:D]
        self.parameter.grad = torch.from_numpy(-RATE * joint.gradients @ v)
        self.adam.step()
        with torch.no_grad():
            self.parameter.clamp_(min=1e-6)
        found: Array = (self.parameter / self.parameter.sum()).detach().numpy()
        return found


@both
@pytest.mark.parametrize(
    ("method", "weigh", "options", "after"),
    [
        ("gradcos", lambda: gradcos, {}, False),
        ("ol-aux", lambda: OlAux(0.5, 4), {"ol_of_aux__beta": 0.5, "ol_of_aux__interval": 4}, True),
        ("meta-tartan", lambda: MetaTartanShared(0.05), {"tartan__eta": 0.05, "tartan__meta_head": "shared"}, True),
        ("autolambda", lambda: AutoLambda(0.005), {"autolambda__rate": 0.005}, False),
        ("autolambda-null", lambda: AutoLambda(0.005), {"autolambda__rate": 0.005}, False),
    ],
)
def test_joint_methods_equal_a_second_implementation(
    method: str, weigh: Any, options: dict[str, Any], after: bool, name: str
) -> None:
    run = Run(method, name, continued__steps=60, **options)
    other = Joint(name, weigh(), 60, after, null=method.endswith("null"))
    # Adam's first steps are signs: what is small there is rounding.
    np.testing.assert_allclose(run.rows(), other.rows, atol=1e-6)
    np.testing.assert_allclose(run.theta, other.p[:D], atol=1e-6)
    assert np.abs(run.rows()[-1] - 0.2).max() > 0.05


@both
@pytest.mark.parametrize("method", ["gradcos", "ol-aux"])
def test_rules_that_follow_the_end_task_rest_at_its_own_optimum(method: str, name: str) -> None:
    """Where it still has a slope, no weight can oppose it: harmful ones are 0 and at rest so are all others.

    At rest 0 = sum_i w_i g_i . g_* + |g_*|^2 with w_i g_i . g_* >= 0 for gradcos. OL-AUX rests where
    each w_i is 0 or orthogonal. Either way g_* = 0: the training part's optimum, with its bias.
    """
    run = Run(method, name, continued__steps=800)
    np.testing.assert_allclose(run.weights, [0, 0, 0, 0, 1], atol=1e-3)
    assert run.weights[3] == 0, "harmful: nothing at all"
    np.testing.assert_allclose(run.theta[SEEN], BIASED[SEEN], atol=1e-3)
    p = np.concatenate([run.theta, run.result.weights["head"]["phi"].numpy()])
    np.testing.assert_allclose(EndTask.part(quadratic(name), "train").gradient(p), 0, atol=1e-3)
    if method == "gradcos":
        assert (run.rows()[:, 3] == 0).mean() > 0.9
        assert run.rows()[:, 0].max() > 0, "helpful: while it agrees"


def test_autolambda_rests_where_the_validation_loss_is_least() -> None:
    """With one curvature theta is the weighted mean of all centres, the end task's biased target among them.

    A look-ahead of a step that vanishes measures v . g_i; at rest it vanishes for all terms with weight.
    """
    points = np.concatenate([quadratic("isotropic").centres, BIASED[None]])[:, SEEN]
    least = minimize(
        lambda s: float(np.sum((s @ points - TRUTH[SEEN]) ** 2)), np.full(5, 0.2), method="SLSQP",
        bounds=[(0, 1)] * 5, constraints=[{"type": "eq", "fun": lambda s: s.sum() - 1}], options={"ftol": 1e-15},
    ).x  # fmt: skip
    run = Run("autolambda", continued__steps=800, autolambda__rate=0.005)
    np.testing.assert_allclose(run.weights, least, atol=5e-3)
    assert run.weights[[2, 3]].sum() < 1e-3
    assert least[0] > 0.3
    assert 0.3 < least[-1] < 0.6


# --- META-TARTAN: the pathology of a shared head


@pytest.fixture
def converging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta heads that are trained to the end: here their optimiser's published rate would take thousands of steps."""
    monkeypatch.setattr(metahead, "RATE", 0.3)
    monkeypatch.setattr(metahead, "DECAY", 0.0)
    monkeypatch.setattr(metahead, "TOLERANCE", 0.0)


@both
@pytest.mark.usefixtures("converging")
def test_a_converged_meta_head_gives_the_gradient_of_its_closed_form(name: str) -> None:
    problem, _ = built(name)
    own: Any = settings_of("meta-tartan", name, tartan__meta_steps=400).method
    encoder, head = problem.encoder(), problem.downstream_head()
    v = ValidationGradient(problem, own, "val", "joint").here(encoder, head, 0)
    train, val = (EndTask.part(quadratic(name), part) for part in ("train", "val"))
    theta = encoder.theta.detach().numpy()
    phi = np.linalg.solve(train.M[D:, D:], train.b[D:] - train.M[D:, :D] @ theta)
    expected = val.gradient(np.concatenate([theta, phi]))[:D]
    np.testing.assert_allclose(v, expected, atol=2e-3 * np.abs(expected).max())
    if name == "isotropic":
        np.testing.assert_allclose(v[D - 2 :], 0, atol=4e-3)  # what the head reads is explained


@both
@pytest.mark.usefixtures("converging")
def test_with_a_shared_head_the_end_task_s_own_weight_runs_away(name: str) -> None:
    """TARTAN, Figure 3: a validation gradient through the end task's own head is nearly its training gradient.

    The more so the slower that head learns: what it has yet to unlearn is in both, and in no objective.
    """
    found = {}
    for head in ("shared", "separate"):
        run = Run(
            "meta-tartan", name, continued__steps=150, tartan__meta_head=head, tartan__eta=0.05, tartan__meta_steps=60,
            tartan__head__lr=0.003,
        )  # fmt: skip
        found[head] = run
    shared, separate = found["shared"], found["separate"]
    assert shared.weights[-1] > 0.75
    assert shared.weights[-1] > separate.weights[-1] + 0.2
    assert separate.weights[0] > 2 * shared.weights[0], "helpful"
    first = {head: run.rows("alignment")[0] for head, run in found.items()}
    assert first["shared"].argmax() == 4
    assert first["shared"][4] > 0.9
    assert first["separate"].argmax() in (0, 1), "helpful or partly"
    for run in found.values():
        assert run.weights[3] < 0.05, "harmful"


@both
def test_raw_weights_are_the_sum_of_the_cosines(name: str) -> None:
    run = Run("meta-tartan", name, continued__steps=50, tartan__eta=0.05)
    w = 0.05 * run.rows("alignment").sum(0)
    np.testing.assert_allclose(run.weights, np.exp(w) / np.exp(w).sum(), atol=1e-12)
    assert (np.abs(w) <= 0.05 * 50).all()
