"""Two levels: the body on the objectives and the end task, by hand and by a second implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import RequestError
from methods.settings import ContinuedSettings, OptimiserSettings
from methods.stage import StageResult
from methods.stages.bilevel import BiLevel
from methods.stages.common import LossError
from methods.stages.continued import Continued
from tasks.problem import Batch, Problem
from tests.methods import reference
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import NAMES, NetworkProblem, continued, two_levels
from tests.methods.test_hypergradients import relative, steps_of


def learn(
    problem: Problem, one: ContinuedSettings | None = None, validation: Any = "val", **changes: Any
) -> StageResult:
    stage = BiLevel(one or continued(), two_levels(**changes), validation)
    stage.validate(problem.spec)
    return stage.run(problem, start_of(problem), Uninterrupted())


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize(("name", "radius", "tolerance"), [
    ("as-released", 1e-4, 1e-7), ("as-released", 1e-2, 1e-7),  # the same differences
    ("forward", 1e-4, 1e-7), ("forward", 1e-2, 1e-3),  # the closed form, with factor 1, against differences
])  # fmt: skip
def test_five_steps_equal_a_second_implementation(
    n: int, name: str, radius: float, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """c = 1, from random alpha, with momentum and weight decay."""
    alpha = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    monkeypatch.setattr("methods.weighting.tapweight.ones", lambda *_, **__: alpha.clone())
    options: dict[str, Any] = {"hypergradient": {"name": name, "radius": radius}, "rate": 2.0}
    found = steps_of(alpha, learn(NetworkProblem(NAMES[:n]), **options).log["trajectory"]["weights"])
    path = reference.two_levels(NetworkProblem(NAMES[:n]), alpha, continued(), two_levels(**options), radius)
    assert found.norm() > 0.1
    assert relative(found, steps_of(alpha, [torch.softmax(one, 0).tolist() for one in path])) < tolerance


class Line(NetworkProblem):
    """theta is a number x: L_i = (x - a_i)^2 / 2 with a = (1, -1); the end task is (x + h - 3)^2 / 2, h its head."""

    def encoder(self) -> nn.Module:
        return _Number()

    def objective_heads(self) -> nn.ModuleDict:
        return nn.ModuleDict()

    def objective_terms(self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Any = ()) -> list[Tensor]:
        return [(encoder(None) - centre).square() / 2 for centre in (1.0, -1.0)]

    def downstream_head(self) -> nn.Module:
        return _Number()

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        x: Tensor = encoder(None)
        return x

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - 3).square() / 2


class _Number(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, added: Tensor | None) -> Tensor:
        return self.value if added is None else self.value + added


@pytest.mark.parametrize("c", [0.0, 1.0, 2.5])
def test_one_step_by_hand(c: float) -> None:
    """From x = h = 0 and s = 1/2: the objectives pull nowhere, the end task with -3 on x and on h.

    With rate 0.1: x = h = 0.3 c. Then v = 0.6 c - 3 on x, g = (x - 1, x + 1), and J_s q with s = 1/2 is
    (q_1 - q_2) / 4 = -v / 2 for alpha_1.
    """
    sgd = OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.0, schedule="constant")
    one = ContinuedSettings(steps=1, batch=1, optimiser=sgd)
    result = learn(Line(NAMES[:2]), one, coefficient=c, rate=0.2)
    x = 0.3 * c
    v = 2 * x - 3
    rows = result.log["trajectory"]
    assert float(result.weights["encoder"]["value"]) == pytest.approx(x)
    assert float(result.models["joint"].head["value"]) == pytest.approx(x)
    assert rows["alignment"][0] == pytest.approx([v * (x - 1), v * (x + 1)])
    step = 0.2 * -v / 2  # each alpha by as much, in opposite directions
    assert rows["weights"][0] == pytest.approx([1 / (1 + torch.e ** (-2 * step)), 1 / (1 + torch.e ** (2 * step))])


def test_the_gradient_of_the_whole_lower_level_is_clipped() -> None:
    """From x = h = 0 the gradient is -3 on x and on h, 3 sqrt(2) long; at most 1 of it is left."""
    sgd = OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.0, clip=1, schedule="constant")
    result = learn(Line(NAMES[:2]), ContinuedSettings(steps=1, batch=1, optimiser=sgd))
    moved = [result.weights["encoder"]["value"].item(), result.models["joint"].head["value"].item()]
    assert moved == pytest.approx([0.1 / 2**0.5] * 2, rel=1e-5)


@pytest.mark.parametrize("c", [1.0, 2.5])
def test_the_hessian_is_that_of_the_whole_lower_level(c: float) -> None:
    """H of sum_i s_i L_i + c L_tr in (x, h) is [[1 + c, c], [c, c]], and v = r (1, 1) at x = h = 0.3 c.

    H^-1 v = r (0, 1 / c): the end task's head can take up everything, so no objective matters. One term
    of the Neumann series: a (2 v - a H v), whose entry of x is a r (2 - a (1 + 2 c)).
    """
    sgd = OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.0, schedule="constant")
    one = ContinuedSettings(steps=1, batch=1, optimiser=sgd)
    x, a = 0.3 * c, 0.2
    entry = a * (2 * x - 3) * (2 - a * (1 + 2 * c))
    schemes: list[tuple[dict[str, Any], list[float]]] = [
        ({"name": "conjugate-gradients", "terms": 2}, [0, 0]),
        ({"name": "neumann", "terms": 1, "step": a}, [entry * (x - 1), entry * (x + 1)]),
    ]
    for scheme, q in schemes:
        rows = learn(Line(NAMES[:2]), one, hypergradient=scheme, coefficient=c).log["trajectory"]
        assert rows["alignment"][0] == pytest.approx(q, abs=1e-12)


def test_without_the_end_task_the_body_is_that_of_cp() -> None:
    problem = NetworkProblem()
    cp = Continued(continued()).run(problem, start_of(problem), Uninterrupted())
    found = learn(problem, coefficient=0.0, rate=0.0)
    for part in ("encoder", "heads"):
        assert all(torch.equal(cp.weights[part][name], tensor) for name, tensor in found.weights[part].items())
    other = learn(problem, coefficient=1.0, rate=0.0)
    assert any(not torch.equal(cp.weights["encoder"][n], t) for n, t in other.weights["encoder"].items())


@pytest.mark.parametrize(
    "name", ["forward", "backward", "central", "one-sided", "neumann", "conjugate-gradients", "as-released"]
)
def test_probing_does_not_change_the_body(name: str) -> None:
    """At rate 0 every hypergradient leaves the same parameters, running statistics and head."""
    problem = NetworkProblem(norm=True)
    still = learn(problem, rate=0.0, unroll=1000)
    found = learn(problem, rate=0.0, hypergradient={"name": name})
    assert not still.log["trajectory"]["weights"]
    assert len(found.log["trajectory"]["weights"]) == 5
    for part in ("encoder", "heads"):
        assert all(torch.equal(still.weights[part][n], tensor) for n, tensor in found.weights[part].items())
    assert all(torch.equal(still.models["joint"].head[n], t) for n, t in found.models["joint"].head.items())


def test_the_weights_move_after_every_unroll_steps_on_the_newest_batches() -> None:
    problem = NetworkProblem()
    rows = learn(problem, continued(7), unroll=3).log["trajectory"]
    assert rows["steps"] == [3, 6]
    assert problem.streams["continued"].asked == [0, *range(7)]  # the first also for the check of slopes
    assert problem.streams["bi-level"].asked == list(range(7))
    assert problem.streams["level III"].asked == [0, 1]
    each = Continued(continued(7)).run(problem, start_of(problem), Uninterrupted()).log["trajectory"]["losses"]
    still = learn(problem, continued(7), unroll=3, rate=0.0, coefficient=0.0).log["trajectory"]["losses"]
    assert still == [each[2], each[5]]


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(RequestError, match="at least 2 terms to weight, got 1"):
        learn(NetworkProblem(NAMES[:1]))
    with pytest.raises(RequestError, match="'thrid' is no objective; did you mean third"):
        learn(NetworkProblem(), idle=("thrid",))

    class Poisoned(NetworkProblem):
        def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            return super().outputs_loss(outputs, batch) * float("nan")

    with pytest.raises(LossError, match="bi-level, step 0: the loss 'train' is nan"):
        learn(Poisoned())
