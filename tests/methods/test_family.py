"""The fixed-weight family: each member is plain continued pretraining in the case where it should be."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from bench.errors import RequestError
from bench.protocol_files import load
from methods import METHODS
from methods.settings import Settings
from methods.stage import Stage, StageResult
from methods.stages.continued import Continued
from methods.stages.finetune import FineTune
from methods.stages.frozen import Frozen
from methods.stages.rewound import Rewound, final_weights
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule
from tasks.catalogue import get
from tasks.problem import Problem
from tests.methods.analytic import Uninterrupted, start_of

SHORT = ("continued.steps=6", "finetune.epochs=1")


def settings_of(method: str, *assignments: str) -> Settings:
    rules = load("smoke", [*SHORT, *assignments])
    return rules.resolve(METHODS.get(method), get("demo:logp"), "resnet18").settings


def stages_of(method: str, *assignments: str) -> list[Stage]:
    return list(METHODS.get(method).stages(settings_of(method, *assignments)))


def run(problem: Problem, method: str, *assignments: str) -> list[StageResult]:
    """The outputs of the stages before fine-tuning, each from the output of the one before."""
    results, start = list[StageResult](), start_of(problem)
    for stage in stages_of(method, *assignments):
        if not isinstance(stage, FineTune):
            stage.validate(problem.spec)
            results.append(stage.run(problem, start, Uninterrupted()))
            start = results[-1].weights  # type: ignore[assignment]
    return results


def same(a: Any, b: Any) -> bool:
    parts = ("encoder", "heads")
    return all(a[part].keys() == b[part].keys() for part in parts) and all(
        torch.equal(a[part][name], b[part][name]) for part in parts for name in a[part]
    )


@pytest.fixture(scope="module")
def cp(demo_problem: Problem) -> StageResult:
    """Continued pretraining with equal weights."""
    return run(demo_problem, "cp")[-1]


# --- cp-frozen


def test_the_frozen_weights_of_a_method_that_never_moved_them_give_cp(demo_problem: Problem, cp: StageResult) -> None:
    assert same(run(demo_problem, "cp-frozen", "tapweight.rate=0")[-1].weights, cp.weights)
    # So do those of a method that had no time to.
    assert same(run(demo_problem, "cp-frozen", "tapweight.unroll_one=7")[-1].weights, cp.weights)


@pytest.mark.parametrize("of", ["tapweight", "dwa", "meta-tartan"])
def test_cp_frozen_is_cp_under_the_final_weights_of_the_method(demo_problem: Problem, cp: StageResult, of: str) -> None:
    learned, frozen = run(demo_problem, "cp-frozen", f"cp-frozen.of={of}", "tapweight.rate=2", "dwa.window=1")
    own = run(demo_problem, of, "tapweight.rate=2", "dwa.window=1")[0]
    assert learned.log["trajectory"] == own.log["trajectory"]
    assert not learned.models, "read-outs of another method"
    assert same(learned.weights, start_of(demo_problem)), "the network is as it was"
    s = learned.weights["learned"]["s"]
    last = own.log["trajectory"]["weights"][-1][: len(s)]
    torch.testing.assert_close(s, torch.tensor(last, dtype=torch.float64) / sum(last))
    if len(own.log["trajectory"]["objectives"]) == len(s):
        assert s.tolist() == last
    fixed = Continued(settings_of("cp").continued, Rule(Fixed, {"s": s.tolist()}))
    again = fixed.run(demo_problem, start_of(demo_problem), Uninterrupted())
    assert same(frozen.weights, again.weights)
    assert not same(frozen.weights, cp.weights)
    assert not same(frozen.weights, own.weights)
    assert frozen.weights.keys() == {"encoder", "heads"}


def test_terms_that_are_no_objectives_are_dropped() -> None:
    joint = {"objectives": ["a", "b", "end-task"], "weights": [[1.0, 0.0, 0.0], [0.1, 0.3, 0.6]]}
    torch.testing.assert_close(final_weights(joint, ["a", "b"]), torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(final_weights(joint, ["b", "a"]), torch.tensor([0.75, 0.25], dtype=torch.float64))
    same_terms = {"objectives": ["a", "b"], "weights": [[0.1, 0.9 + 1e-9]]}
    assert final_weights(same_terms, ["a", "b"]).tolist() == [0.1, 0.9 + 1e-9]  # as they are, to the bit
    assert final_weights({"objectives": ["a", "b"], "weights": []}, ["a", "b"]).tolist() == [0.5, 0.5]
    assert final_weights({"objectives": ["b", "end-task"], "weights": [[0.4, 0.6]]}, ["a", "b"]).tolist() == [0.0, 1.0]
    with pytest.raises(ArithmeticError, match="all of it on end-task"):
        final_weights({"objectives": ["a", "b", "end-task"], "weights": [[0.0, 0.0, 1.0]]}, ["a", "b"])


def test_a_rewound_stage_keeps_what_names_it(demo_problem: Problem) -> None:
    spec = demo_problem.spec
    (inner, _), (rewound, frozen, _) = stages_of("tapweight"), stages_of("cp-frozen")
    assert isinstance(rewound, Rewound)
    assert isinstance(frozen, Frozen)
    assert rewound.name == inner.name == "tri-level"
    assert not rewound.shared
    assert not frozen.shared
    assert rewound.key(spec) == {**inner.key(spec), "stage": "TriLevel"}
    shared, later, _ = stages_of("cp-frozen", "cp-frozen.of=dwa")
    assert shared.shared
    assert not later.shared
    assert {shared.name, later.name} == {"continued", "frozen"}


def test_the_phase_under_frozen_weights_has_settings_of_its_own() -> None:
    rewound, frozen, _ = stages_of("cp-frozen", "cp-frozen.steps=3")
    assert isinstance(frozen, Frozen)
    assert isinstance(rewound, Rewound)
    assert frozen.settings.steps == 3
    assert rewound.inner.pretraining.steps == 6  # type: ignore[attr-defined]


def test_a_method_whose_extra_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("methods.method.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"cp-frozen.of: pcgrad needs torchjd.*bench-reweighting\[rules\]"):
        stages_of("cp-frozen", "cp-frozen.of=pcgrad")


# --- tapt, dapt, and both


def test_tapt_on_the_inputs_of_the_corpus_is_cp(
    demo_problem: Problem, cp: StageResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = run(demo_problem, "tapt")[0]
    assert not same(own.weights, cp.weights)
    monkeypatch.setitem(demo_problem._sources, "task", demo_problem._sources["corpus"])  # type: ignore[attr-defined]
    assert same(run(demo_problem, "tapt")[0].weights, cp.weights)


def test_tapt_reads_the_task_and_no_label(demo_problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    before, asked = demo_problem.stream, []

    def stream(source: Any, batch_size: int, purpose: str) -> Any:
        asked.append(source)
        return before(source, batch_size, purpose)

    expected = run(demo_problem, "tapt")[0]
    monkeypatch.setattr(demo_problem, "stream", stream)
    monkeypatch.setattr(demo_problem, "_examples", None)
    monkeypatch.setattr(demo_problem, "score", None)
    assert same(run(demo_problem, "tapt")[0].weights, expected.weights)
    assert asked == ["task"]


@pytest.mark.parametrize("method", ["cp", "tapweight", "tapweight-blo", "mt-tartan", "search-random"])
def test_the_task_s_inputs_can_be_the_corpus_of_every_method(
    demo_problem: Problem, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    before, asked = demo_problem.stream, set()

    def stream(source: Any, batch_size: int, purpose: str) -> Any:
        asked.add(source)
        return before(source, batch_size, purpose)

    monkeypatch.setattr(demo_problem, "stream", stream)
    own = run(demo_problem, method, "continued.source=task")[0]
    assert "task" in asked
    assert "corpus" not in asked
    (general, *_), (special, *_) = stages_of(method), stages_of(method, "continued.source=task")
    assert '"source"' not in json.dumps(general.key(demo_problem.spec)), "results from before keep their names"
    assert demo_problem.spec.task.id in json.dumps(special.key(demo_problem.spec))
    assert not special.shared
    if method == "cp":
        assert same(own.weights, run(demo_problem, "tapt")[0].weights)


def test_dapt_is_cp_and_both_is_one_after_the_other(demo_problem: Problem, cp: StageResult) -> None:
    first, second = run(demo_problem, "dapt-tapt")
    assert same(first.weights, cp.weights)
    assert same(run(demo_problem, "dapt")[0].weights, cp.weights)
    (tapt, _) = stages_of("tapt")
    assert same(second.weights, tapt.run(demo_problem, cp.weights, Uninterrupted()).weights)
    assert not same(second.weights, run(demo_problem, "tapt")[0].weights)


def test_each_phase_has_its_own_settings_and_name() -> None:
    stages = stages_of("dapt-tapt", "dapt.steps=12", "tapt.batch=8")
    assert [stage.name for stage in stages] == ["continued", "tapt", "finetune"]
    assert [stage.shared for stage in stages] == [True, False, False]
    domain, task = (stage.settings for stage in stages[:2])  # type: ignore[attr-defined]
    assert (domain.steps, domain.batch, task.steps, task.batch) == (12, 16, 6, 8)
    assert domain.optimiser == task.optimiser == settings_of("cp").continued.optimiser
