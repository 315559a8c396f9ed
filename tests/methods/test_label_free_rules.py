"""What all six rules that need no labels keep to, and their methods end to end."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import plan
from bench.errors import RequestError
from bench.protocol_files import load
from methods import METHODS
from methods import method as method_module
from methods.settings import ContinuedSettings, Settings
from methods.stage import StageResult
from methods.stages.continued import GIVES, Continued
from methods.weighting.dwa import DynamicWeightAverage
from methods.weighting.famo import FAMO
from methods.weighting.fixed import Fixed
from methods.weighting.pcgrad import PCGrad
from methods.weighting.rlw import RandomLossWeighting
from methods.weighting.rule import Rule, Signals, Weighting
from methods.weighting.uncertainty import Uncertainty
from methods.weighting.upgrad import UPGrad
from tasks.catalogue import get
from tasks.problem import Problem
from tasks.randomness import generator
from tests.methods.analytic import AnalyticProblem, Uninterrupted, start_of

RULES = {
    "rlw": Rule(RandomLossWeighting),
    "uncertainty": Rule(Uncertainty, {"rate": 0.1}),
    "dwa": Rule(DynamicWeightAverage, {"window": 2, "temperature": 2.0}),
    "famo": Rule(FAMO, {"beta": 0.5, "gamma": 0.01, "bounds": []}),
    "pcgrad": Rule(PCGrad),
    "upgrad": Rule(UPGrad),
}
RANDOM = {"rlw", "pcgrad"}
each_rule = pytest.mark.parametrize("name", RULES)


def build(name: str, n: int, seed: int = 0) -> Weighting:
    return RULES[name].build([f"L{i}" for i in range(n)], seed, "continued", GIVES)


@dataclass(frozen=True)
class Row:
    """What could be measured in one step."""

    losses: Tensor
    losses_after: Tensor
    gradients: Tensor  # (n, 3)

    def signals(self, rule: Weighting) -> Signals:
        """What the rule declared and nothing else; the losses are always there, so they are spoilt instead."""
        return Signals(
            self.losses if "losses" in rule.needs else self.losses * float("nan"),
            losses_after=self.losses_after if "losses_after" in rule.needs else None,
            gramian=self.gradients @ self.gradients.T if "gramian" in rule.needs else None,
        )

    def permuted(self, order: Sequence[int]) -> Row:
        return Row(self.losses[order], self.losses_after[order], self.gradients[order])


@st.composite
def histories(draw: Any, terms: int = 5) -> list[Row]:
    n = draw(st.integers(2, terms))

    def tensor(low: float, high: float, *shape: int) -> Tensor:
        count = torch.Size(shape).numel()
        values = draw(st.lists(st.floats(low, high), min_size=count, max_size=count))
        return torch.tensor(values, dtype=torch.float64).reshape(shape)

    return [
        Row(tensor(1e-3, 1e3, n), tensor(1e-3, 1e3, n), tensor(-5, 5, n, 3)) for _ in range(draw(st.integers(1, 6)))
    ]


def play(rule: Weighting, rows: Sequence[Row]) -> list[Tensor]:
    """The weights of every step and those after the last, in the order in which a stage reads and reports."""
    found = []
    for now in rows:
        if rule.before_step:
            rule.update(now.signals(rule))
        found.append(rule.weights())
        if not rule.before_step:
            rule.update(now.signals(rule))
    return [*found, rule.weights()]


@each_rule
@given(rows=histories())
@settings(max_examples=40, deadline=None)
def test_weights_lie_on_the_simplex_and_only_declared_signals_are_read(name: str, rows: list[Row]) -> None:
    for s in play(build(name, len(rows[0].losses)), rows):
        assert s.dtype == torch.float64
        assert torch.isfinite(s).all()
        assert s.min() >= 0
        assert float(s.sum()) == pytest.approx(1, abs=1e-12)


# Not rlw, whose draw belongs to the position, not to the term. PCGrad's random order belongs to the position
# too, and matters from three terms on: there permuted weights are those of other orders (test_gradient_rules).
@pytest.mark.parametrize(("name", "terms"), [("uncertainty", 5), ("dwa", 5), ("famo", 5), ("upgrad", 5), ("pcgrad", 2)])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_permuted_terms_have_permuted_weights(name: str, terms: int, data: st.DataObject) -> None:
    rows = data.draw(histories(terms))
    n = len(rows[0].losses)
    order = data.draw(st.permutations(range(n)))
    plain, permuted = play(build(name, n), rows), play(build(name, n), [one.permuted(order) for one in rows])
    for mine, theirs in zip(plain, permuted, strict=True):
        assert torch.allclose(mine[order], theirs, rtol=1e-6, atol=1e-9)


@each_rule
@pytest.mark.parametrize("half", range(8))
def test_a_rule_restored_in_mid_run_goes_on_with_the_same_bits(name: str, half: int) -> None:
    draws = generator(0, "history")

    def positive() -> Tensor:
        return torch.rand(4, dtype=torch.float64, generator=draws) + 0.1

    rows = [Row(positive(), positive(), torch.randn(4, 3, dtype=torch.float64, generator=draws)) for _ in range(8)]
    rule, from_file, from_memory = (build(name, 4, seed=3) for _ in range(3))
    play(rule, rows[:half])
    state, file = rule.state_dict(), io.BytesIO()
    torch.save(state, file)
    there = rule.weights()
    expected = play(rule, rows[half:])  # this must not change what was saved
    from_file.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    from_memory.load_state_dict(state)
    for other in (from_file, from_memory):
        assert torch.equal(other.weights(), there)
        found = play(other, rows[half:])
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(expected, found, strict=True))


@each_rule
def test_one_term_alone_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="needs at least 2 terms"):
        build(name, 1)


def test_no_two_rules_give_the_same_weights_where_they_should_differ() -> None:
    centres = torch.tensor([[1.0, 0.0], [0.3, 1.0], [-1.5, -0.5]], dtype=torch.float64)
    optimiser = {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "schedule": "constant"}
    options = ContinuedSettings.model_validate({"steps": 6, "batch": 1, "optimiser": optimiser})
    problem = AnalyticProblem(centres, centres[0])
    last = {}
    for name, rule in {**RULES, "cp": Rule(Fixed)}.items():
        first = rule.build(problem.objectives, 0, "", GIVES).weights()
        assert (first.tolist() == [1 / 3] * 3) == (name != "rlw")
        result = Continued(options, rule).run(problem, start_of(problem), Uninterrupted())
        last[name] = torch.tensor(result.log["trajectory"]["weights"][-1])
    for name, mine in last.items():
        for other, theirs in last.items():
            assert name == other or (mine - theirs).abs().max() > 1e-3, (name, other)


class Reseeded:
    """A problem whose rules see another seed; all its batches and starting weights stay."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem, self.spec = problem, replace(problem.spec, seed=seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.problem, name)


def train(name: str, problem: Problem, *assignments: str, seed: int = 0) -> StageResult:
    """Run the pretraining of a method for four steps; ``dwa`` over windows of one step."""
    rules = load("smoke", ["continued.steps=4", "dwa.window=1", *assignments])
    stages = METHODS.get(name).pipeline(rules.resolve(METHODS.get(name), get("demo:logp"), "resnet18").settings)
    assert [stage.name for stage in stages] == ["start", "continued", "finetune"]
    seen: Any = Reseeded(problem, seed)
    return stages[1].run(seen, start_of(problem), Uninterrupted())


def same(first: StageResult, second: StageResult) -> bool:
    return first.log == second.log and all(
        torch.equal(tensor, second.weights[part][name])
        for part, state in first.weights.items()
        for name, tensor in state.items()
    )


@each_rule
def test_a_method_trains_and_only_random_rules_depend_on_their_seed(
    name: str, demo_problem: Problem, smoke: Settings
) -> None:
    result = train(name, demo_problem)
    assert all(torch.isfinite(tensor).all() for state in result.weights.values() for tensor in state.values())
    weights = torch.tensor(result.log["trajectory"]["weights"], dtype=torch.float64)
    assert weights.min() >= 0
    assert weights.sum(1).tolist() == pytest.approx([1] * 4)
    assert len({tuple(s) for s in weights.tolist()}) > 1
    torch.rand(3)  # the global generator stands elsewhere in the second run, and neither run moves it
    moved = torch.random.get_rng_state()
    assert same(train(name, demo_problem), result)
    assert torch.equal(torch.random.get_rng_state(), moved)
    assert same(train(name, demo_problem, seed=1), result) == (name not in RANDOM)


@pytest.mark.parametrize(("name", "assignment"), [("uncertainty", "uncertainty.rate=0"), ("dwa", "dwa.window=100")])
def test_a_rule_that_does_not_move_is_cp_bit_for_bit(
    name: str, assignment: str, demo_problem: Problem, smoke: Settings
) -> None:
    assert same(train(name, demo_problem, assignment), train("cp", demo_problem))


@each_rule
def test_the_papers_did_not_evaluate_pretraining(name: str) -> None:
    entry = METHODS.get(name)
    assert (entry.published, entry.learns) == ((), True)


def test_without_the_extra_a_method_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_module, "find_spec", lambda name: None)
    fitting, skipped = plan.pairs(["rlw", "pcgrad", "upgrad"], [get("demo:logp")])
    assert [name for name, *_ in fitting] == ["rlw"]
    assert [entry["reason"] for entry in skipped] == [
        f"{name} needs {modules}, not installed here; pip install 'bench-reweighting[rules]'"
        for name, modules in (("pcgrad", "torchjd"), ("upgrad", "torchjd, qpsolvers, quadprog"))
    ]


def test_a_loss_that_a_rule_cannot_use_names_stage_step_and_objective(
    demo_problem: Problem, smoke: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo_problem.objective_terms

    def shifted(encoder: Any, heads: Any, batch: Any, idle: Any = ()) -> list[torch.Tensor]:
        terms = real(encoder, heads, batch)
        return [*terms[:3], terms[3] - 1000, *terms[4:]]

    monkeypatch.setattr(demo_problem, "objective_terms", shifted)
    stage = Continued(smoke.continued, Rule(Uncertainty, {"rate": 0.02}))
    with pytest.raises(ArithmeticError, match="continued, step 0: the loss 'jigsaw': expected a finite one above 0"):
        stage.run(demo_problem, start_of(demo_problem), Uninterrupted())
