"""Joint training on a small network in float64, against explicit gradients and loops written out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from bench.checkpoint import CheckpointedRun
from methods.settings import FinetuneSettings, MetaSettings
from methods.stage import StageResult
from methods.stages.finetune import FineTune
from methods.stages.optimiser import factor
from methods.weighting.autolambda import AutoLambda
from methods.weighting.fixed import Fixed
from methods.weighting.gradcos import GradCos
from methods.weighting.olaux import OlAux
from methods.weighting.rule import Need, Rule, Signals, Weighting
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.tiny import (
    OBJECTIVES,
    ROWS,
    SGD,
    SHARED,
    WHOLE,
    Body,
    Scripted,
    Tiny,
    assert_same,
    explicit,
    joint,
    meta_tartan,
    run,
    trajectory,
)


class Spy(Weighting):
    """Uneven fixed weights; keeps all that the stage measures."""

    needs: frozenset[Need] = frozenset({"losses", "gramian", "alignment", "cosine", "lookahead"})
    before_step = True
    seen: ClassVar[list[Signals]] = []

    def weights(self) -> Tensor:
        s = torch.arange(1, self.n + 1, dtype=torch.float64)
        return s / s.sum()

    def update(self, signals: Signals) -> None:
        self.seen.append(signals)


def spied(stage_meta: MetaSettings, **changes: Any) -> Signals:
    """What the stage measures at its first step."""
    Spy.seen.clear()
    run(joint(Rule(Spy), stage_meta, steps=4, **changes))
    return Spy.seen[0]


def validation_loss(problem: Tiny, body: nn.Module, head: nn.Module) -> Tensor:
    return problem.downstream_loss(body, head, problem.stream("val", ROWS, "any order").batch(0))


# Signals


def test_the_signals_equal_explicit_gradients() -> None:
    problem, seen = Tiny(), spied(SHARED)
    gradients, losses, body, head = explicit(problem)
    slopes = torch.autograd.grad(validation_loss(problem, body, head), list(body.parameters()))
    v = torch.cat([slope.flatten() for slope in slopes])
    assert torch.allclose(seen.losses, losses, rtol=1e-12)
    assert torch.allclose(seen.require("gramian"), gradients @ gradients.T, rtol=1e-10)
    assert torch.allclose(seen.require("alignment"), gradients @ v, rtol=1e-10)
    expected = torch.cosine_similarity(gradients, v[None])
    assert torch.allclose(seen.require("cosine"), expected, atol=1e-7)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_the_lookahead_is_the_slope_of_the_validation_loss_one_step_ahead(warmup: float) -> None:
    # L_val(theta - lr sum_k s_k g_k) by central differences in each s_k, lr that of the first step.
    problem = Tiny()
    lookahead = spied(SHARED, body={"warmup": warmup}).require("lookahead")
    gradients, _, body, head = explicit(problem)
    lr = SGD["lr"] * factor("constant", 0, 4, warmup)  # type: ignore[operator]
    base = torch.cat([p.detach().flatten() for p in body.parameters()])

    def ahead(s: Tensor) -> float:
        moved = Body(0)
        nn.utils.vector_to_parameters(base - lr * (s @ gradients), moved.parameters())
        return validation_loss(problem, moved, head).item()

    s, h = Spy(4).weights(), 1e-4
    slopes = [(ahead(s + h * e) - ahead(s - h * e)) / (2 * h) for e in torch.eye(4, dtype=torch.float64)]
    assert torch.allclose(-lr * lookahead, torch.tensor(slopes, dtype=torch.float64), rtol=1e-6)
    assert not torch.allclose(lookahead, spied(SHARED).require("alignment"), rtol=1e-3), "ahead is elsewhere"


def test_the_score_dot_is_the_raw_alignment() -> None:
    product = run(joint(meta_tartan(score="dot"), SHARED, steps=2))
    assert torch.equal(trajectory(product, "alignment")[0], spied(SHARED).require("alignment"))
    assert torch.equal(trajectory(run(joint(meta_tartan(), SHARED)), "alignment")[0], spied(SHARED).require("cosine"))


# The body's step


def by_hand(problem: Tiny, steps: int, schedule: str = "constant") -> tuple[Body, nn.ModuleDict, nn.Module]:
    """MT-TARTAN written out: two optimisers on the mean of all losses, ``schedule`` that of the head."""
    body, heads, head = Body(0), problem.objective_heads(), problem.downstream_head()
    one = torch.optim.SGD([*body.parameters(), *heads.parameters()], lr=0.05, momentum=0.9, weight_decay=1e-3)
    two = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.1)
    corpus, train = problem.stream("corpus", ROWS, "continued"), problem.stream("train", ROWS, "joint")
    for step in range(steps):
        terms = problem.objective_terms(body, heads, corpus.batch(step))
        loss = (sum(terms) + problem.downstream_loss(body, head, train.batch(step))) / 4
        for optimiser in (one, two):
            optimiser.zero_grad()
        loss.backward()
        two.param_groups[0]["lr"] = 1e-3 * factor(schedule, step, steps)
        for optimiser in (one, two):
            optimiser.step()
    return body, heads, head


def assert_close(result: StageResult, modules: Mapping[str, nn.Module]) -> None:
    for part, module in modules.items():
        for name, tensor in module.state_dict().items():
            assert torch.allclose(result.weights[part][name], tensor, rtol=1e-10, atol=1e-12), (part, name)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_mt_tartan_equals_a_loop_on_the_mean_of_all_losses(schedule: str) -> None:
    body, heads, head = by_hand(Tiny(), 6, schedule)
    falling = Scripted(3.0, 2.0, 1.0)  # the last evaluation is the best, so the last model is handed on
    result = run(joint(Rule(Fixed), head={"schedule": schedule, "warmup": 0.0, "clip": None}), falling)
    assert_close(result, {"encoder": body, "heads": heads, "head": head})


def test_gradients_term_by_term_make_the_same_step_as_one_backward_pass() -> None:
    # Heads included: the gradient of each is multiplied by the weight of its term.
    body, heads, head = by_hand(Tiny(), 6)
    still = run(joint(meta_tartan(eta=0.0), WHOLE), Scripted(3.0, 2.0, 1.0))
    assert_close(still, {"encoder": body, "heads": heads, "head": head})


def test_body_and_head_are_clipped_apart() -> None:
    # Clipped to a norm of 1e-9, the body rests, whatever the head does; and the other way round.
    start = start_of(Tiny())
    tight = {"clip": 1e-9, "weight_decay": 0.0}
    body_rests = run(joint(Rule(Fixed), steps=2, body=tight))
    assert torch.allclose(body_rests.weights["encoder"]["first"], start["encoder"]["first"], atol=1e-8)
    head = Tiny().downstream_head().state_dict()["weight"]
    assert not torch.allclose(body_rests.weights["head"]["weight"], head, atol=1e-4)
    sgd = {"name": "sgd", "clip": 1e-9, "weight_decay": 0.0, "schedule": "constant", "warmup": 0.0}
    head_rests = run(joint(Rule(Fixed), steps=2, head=sgd))
    assert torch.allclose(head_rests.weights["head"]["weight"], head, atol=1e-8)
    assert not torch.allclose(head_rests.weights["encoder"]["first"], start["encoder"]["first"], atol=1e-3)


ALL = {
    "mt-tartan": (Rule(Fixed), None),
    "meta-tartan": (meta_tartan(eta=1.0), MetaSettings(validation_batch=10, meta_batch=6)),
    "meta-tartan-shared": (meta_tartan(eta=0.02, order="before", score="dot", jacobian=True), SHARED),
    "gradcos": (Rule(GradCos), None),
    "ol-aux": (Rule(OlAux, {"alpha": 0.05, "beta": 5.0, "interval": 4}), None),
    "autolambda": (Rule(AutoLambda, {"rate": 0.01}), SHARED),
}
each_method = pytest.mark.parametrize("name", ALL)


@each_method
def test_weights_stay_on_the_simplex_and_follow_their_objectives(name: str) -> None:
    rule, meta = ALL[name]
    s = trajectory(run(joint(rule, meta, steps=8)), "weights")
    assert (s >= 0).all()
    assert torch.allclose(s.sum(1), torch.ones(8, dtype=torch.float64), atol=1e-12)
    order = [2, 0, 1, 3]
    turned = run(joint(rule, meta, steps=8), Tiny(objectives=tuple(OBJECTIVES[k] for k in order[:3])))
    assert torch.allclose(s[:, order], trajectory(turned, "weights"), atol=1e-8)
    if name != "mt-tartan":
        assert not torch.allclose(s[0], s[-1], atol=1e-6)


class Stop(Exception):
    """The process went away."""


@each_method
def test_a_stage_stopped_at_any_third_goes_on_with_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    stage = joint(*ALL[name], steps=9)
    final = FineTune(FinetuneSettings.model_validate({"epochs": 4, "batch": 8, "patience": 4, "optimiser": SGD}))
    reference = run(stage)
    start: Any = start_of(Tiny())
    for one, expected in ((stage, reference), (final, final.run(Tiny(), reference.weights, Uninterrupted()))):
        stops, path = {1 / 3, 2 / 3}, tmp_path / f"{one.name}.checkpoint"

        def progress(step: int, total: int, stops: set[float] = stops) -> None:
            for share in sorted(stops):
                if step >= 1 + share * total:
                    stops.remove(share)
                    raise Stop

        result = None
        for _ in range(3):
            try:
                result = one.run(Tiny(), start, CheckpointedRun(path, progress))
            except Stop:
                assert path.is_file()
        assert not stops
        assert result is not None
        assert_same(result, expected)
        start = result.weights


@each_method
def test_a_seed_determines_every_bit_and_the_log_is_json(name: str) -> None:
    stage = joint(*ALL[name])
    result = run(stage)
    assert_same(result, run(stage))
    assert not torch.equal(run(stage, Tiny(seed=1)).weights["encoder"]["first"], result.weights["encoder"]["first"])
    assert json.loads(json.dumps(result.log, allow_nan=False)) == result.log
    assert set(result.weights) == {"encoder", "heads", "head"}
