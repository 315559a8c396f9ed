"""Continued pretraining on objectives by name, which SimCSE is, and on the domain, which DAPT is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.errors import RequestError
from bench.plan import pairs
from bench.protocol_files import load
from methods import METHODS
from methods.settings import ContinuedSettings
from methods.stage import StageResult, corpus_key
from methods.stages.continued import Continued
from methods.stages.finetune import FineTune
from methods.stages.selected import Selected
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule
from tasks.catalogue import expand, get
from tasks.problem import Batch, BatchStream, Problem, Source
from tests.methods.analytic import Uninterrupted, built, start_of
from tests.methods.networks import NetworkProblem

NAMES = ("masked-lm", "contrastive", "split-order")
SETTINGS = ContinuedSettings.model_validate(
    {"steps": 4, "batch": 8, "optimiser": {
        "name": "adamw", "lr": 0.01, "weight_decay": 0.0, "clip": 1.0, "schedule": "linear", "warmup": 0.5}}
)  # fmt: skip


class Text(NetworkProblem):
    """A network with the objectives of text, which notes the idle ones, and what it reads."""

    def __init__(self, *objectives: str, domain: dict[str, Any] | None = None) -> None:
        super().__init__(objectives or NAMES)
        self.spec = replace(self.spec, domain=domain or {})
        self.idle: set[tuple[str, ...]] = set()
        self.read: list[Source] = []

    def objective_terms(self, encoder: Any, heads: Any, batch: Batch, idle: Any = ()) -> list[torch.Tensor]:
        self.idle.add(tuple(idle))
        return super().objective_terms(encoder, heads, batch, idle)

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        self.read.append(source)
        return super().stream(source, batch_size, purpose + source)


def run(stage: Continued, problem: Problem) -> StageResult:
    stage.validate(problem.spec)
    return stage.run(problem, start_of(problem), Uninterrupted())


def same(a: StageResult, b: StageResult, part: str, prefix: str = "") -> bool:
    mine, theirs = a.weights[part], b.weights[part]
    return all(torch.equal(mine[name], theirs[name]) for name in mine if name.startswith(prefix))


@pytest.mark.parametrize("objectives", [NAMES, (*NAMES, "planted"), ("contrastive", "masked-lm")])
@pytest.mark.parametrize("weights", [{"contrastive": 1.0}, {"contrastive": 1 / 1.1, "masked-lm": 0.1 / 1.1}])
def test_named_weights_are_fixed_ones_with_the_other_objectives_left_out(
    weights: dict[str, float], objectives: tuple[str, ...]
) -> None:
    problem, plain = Text(*objectives), Text(*objectives)
    selected = run(Selected(SETTINGS, name="simcse", weights=weights), problem)
    s = [weights.get(name, 0.0) for name in objectives]
    fixed = run(Continued(SETTINGS, Rule(Fixed, {"s": s})), plain)
    idle = tuple(name for name in objectives if name not in weights)
    assert problem.idle == {idle}
    assert plain.idle == {()}
    assert same(selected, fixed, "encoder")
    assert not same(selected, run(Continued(SETTINGS), plain), "encoder")
    fresh = start_of(problem)
    for name in objectives:
        assert same(selected, fixed, "heads", name)
        moved = not torch.equal(selected.weights["heads"][f"{name}.weight"], fresh["heads"][f"{name}.weight"])
        assert moved == (name in weights)
    rows = selected.log["trajectory"]
    assert rows["weights"] == [s] * SETTINGS.steps
    assert all(
        (loss == 0) == (name in idle) for row in rows["losses"] for name, loss in zip(objectives, row, strict=True)
    )


def test_idle_heads_do_not_decay() -> None:
    decaying = SETTINGS.model_copy(update={"optimiser": SETTINGS.optimiser.model_copy(update={"weight_decay": 0.5})})
    problem = Text()
    heads, fresh = run(Selected(decaying, weights={"contrastive": 1.0}), problem).weights["heads"], start_of(problem)
    assert torch.equal(heads["masked-lm.weight"], fresh["heads"]["masked-lm.weight"])


def test_an_objective_that_a_backbone_lacks_is_named_while_planning() -> None:
    stage = Selected(SETTINGS, name="simcse", weights={"contrastive": 1.0})
    with pytest.raises(RequestError, match=r"'simcse': .* 'contrastive', which analytic on analytic:isotropic has not"):
        stage.validate(built()[0].spec)


def test_weights_off_the_simplex_are_refused() -> None:
    with pytest.raises(RequestError, match="a sum of 1"):
        Selected(SETTINGS, weights={"contrastive": 1.0, "masked-lm": 0.1}).validate(Text().spec)


def test_the_key_names_the_weights() -> None:
    spec = Text().spec
    one, two = (Selected(SETTINGS, name="x", weights=weights) for weights in ({"masked-lm": 1.0}, {"contrastive": 1.0}))
    assert one.key(spec)["rule"] == {"rule": "Fixed", "options": {"s": [1.0, 0.0, 0.0]}}
    assert one.key(spec) != two.key(spec)
    assert one.shared


@pytest.mark.parametrize(
    ("name", "assignments", "weights"),
    [
        ("simcse", (), {"contrastive": 1.0}),
        ("simcse-mlm", (), {"contrastive": 1 / 1.1, "masked-lm": 0.1 / 1.1}),
        ("simcse-mlm", ("simcse.masked_lm=1",), {"contrastive": 0.5, "masked-lm": 0.5}),
    ],
)
def test_simcse_is_such_a_stage_before_fine_tuning(name: str, assignments: tuple[str, ...], weights: Any) -> None:
    rules, method = load("smoke", ["simcse.batch=7", *assignments]), METHODS.get(name)
    settings = rules.resolve(method, get("demo:mood"), "roberta").settings
    first, last = method.stages(settings)
    assert isinstance(first, Selected)
    assert isinstance(last, FineTune)
    assert (first.name, first.source, first.shared) == (name, "corpus", True)
    assert first.weights == pytest.approx(weights)
    assert sum(first.weights.values()) == pytest.approx(1)
    assert first.settings == settings.continued.model_copy(update={"batch": 7})
    assert method.published == ("text",)


def test_simcse_is_skipped_with_the_reason_where_it_does_not_fit() -> None:
    fitting, skipped = pairs(["simcse", "finetune"], expand("demo,analytic"))
    assert [(task.id, backbone) for name, task, backbone in fitting if name == "simcse"] == [("demo:mood", "roberta")]
    assert {entry["task"]: entry["reason"] for entry in skipped} == {
        f"{suite}:{task}": f"simcse has no backbone that reads {inputs}s (it runs on roberta)"
        for suite, inputs, tasks in (("demo", "molecule", "rings logp"), ("analytic", "vector", "isotropic skewed"))
        for task in tasks.split()
    } | {"demo:rings-graph": "simcse has no gin that reads molecules (it runs on roberta)"}


# --- the domain


def test_without_a_domain_its_part_is_the_corpus_s() -> None:
    problem, spec = Text(), Text().spec
    domain, corpus = Continued(SETTINGS, source="domain"), Continued(SETTINGS)
    assert domain.key(spec) == corpus.key(spec)
    assert same(run(domain, problem), run(corpus, problem), "encoder")
    assert problem.read == ["corpus", "corpus"]


def test_a_domain_is_read_and_named_and_shared_by_the_tasks_that_have_it() -> None:
    problem = Text(domain={"checksum": "a"})
    domain, corpus = Continued(SETTINGS, source="domain"), Continued(SETTINGS)
    assert domain.shared
    assert not same(run(domain, problem), run(corpus, problem), "encoder")
    assert problem.read == ["domain", "corpus"]
    key = domain.key(problem.spec)
    assert key == corpus.key(problem.spec) | {"domain": {"checksum": "a"}}
    assert key != domain.key(Text(domain={"checksum": "b"}).spec)
    other = replace(problem.spec, task=built()[0].spec.task, split_checksum="another", labels={"another": 1})
    assert domain.key(other) == key, "it depends on the domain's text, not on the task"
    assert "domain" not in corpus_key(problem.spec), "the general-domain start does not depend on it"
