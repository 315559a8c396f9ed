"""What every registered method must keep to, on a demo task under a shortened smoke protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.chain import Chain, Link
from bench.checkpoint import CheckpointedRun
from methods import METHODS
from methods.stage import Context, StageResult
from methods.stages.start import start_stage
from tasks import BACKBONES
from tasks.image.problem import ImageProblem
from tasks.problem import Problem
from tasks.sealed import SealedLabels
from tests.bench import short
from tests.methods.analytic import Uninterrupted

each_method = pytest.mark.parametrize("name", METHODS.names())


class Stop(Exception):
    """The process went away."""


@pytest.fixture(autouse=True)
def sealed(bench_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage ever touches the test split: here it cannot be opened or scored at all."""
    score = ImageProblem.score

    def guarded(self: Any, encoder: Any, head: Any, split: Any = "val", key: Any = None) -> Any:
        assert split != "test"
        return score(self, encoder, head, split, key)

    monkeypatch.setattr(ImageProblem, "score", guarded)
    monkeypatch.setattr(SealedLabels, "open", lambda *_: pytest.fail("a stage opened the test labels"))


def problem_of(planned: Chain, link: Link) -> Problem:
    return BACKBONES.get(planned.cell.backbone).build(link.spec, planned.resolved.settings, "cpu")[0]


def train(planned: Chain, position: int, context: Context | None = None) -> StageResult:
    """Run one stage of a cell on a problem of its own, after those before it."""
    link = planned.links[position]
    before = trained(planned.cell.method, planned.cell.seed)[position - 1].weights if position else {}
    return link.stage.run(problem_of(planned, link), before, context or Uninterrupted())


@cache
def trained(name: str, seed: int) -> list[StageResult]:
    """The outputs of all stages, computed once for all tests."""
    planned = short.built(name, seed)
    results: list[StageResult] = []
    for link in planned.links:
        before = results[-1].weights if results else {}
        results.append(link.stage.run(problem_of(planned, link), before, Uninterrupted()))
    return results


def tensors(result: StageResult) -> Iterator[tuple[str, torch.Tensor]]:
    for part, state in result.weights.items():
        yield from ((f"weights/{part}/{name}", tensor) for name, tensor in state.items())
    for readout, model in result.models.items():
        yield from ((f"{readout}/encoder/{name}", tensor) for name, tensor in model.encoder.items())
        yield from ((f"{readout}/head/{name}", tensor) for name, tensor in model.head.items())


def same(first: StageResult, second: StageResult) -> bool:
    mine, theirs = dict(tensors(first)), dict(tensors(second))
    bits = mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    return bits and first.log == second.log


@each_method
def test_everything_is_finite_and_complete(name: str) -> None:
    results = trained(name, 0)
    for result in results:
        assert all(torch.isfinite(tensor).all() for _, tensor in tensors(result))
        assert all(tensor.device.type == "cpu" and not tensor.requires_grad for _, tensor in tensors(result))
        assert json.loads(json.dumps(result.log, allow_nan=False)) == result.log
    models = {readout for result in results for readout in result.models}
    assert "best" in models
    log = {key: value for result in results for key, value in result.log.items()}
    assert log["chosen_step"] in (1, 2)
    if METHODS.get(name).learns:
        rows = log["trajectory"]["weights"]
        assert all(min(row) >= 0 and abs(sum(row) - 1) < 1e-9 for row in rows)
        assert rows[0] != rows[-1]


@each_method
def test_a_seed_determines_every_bit(name: str) -> None:
    planned, others = short.built(name, 0), trained(name, 1)
    for position, link in enumerate(planned.links):
        assert same(train(planned, position), trained(name, 0)[position])
        if link.spec.seed == planned.cell.seed and position:
            assert not same(others[position], trained(name, 0)[position])


@each_method
def test_global_randomness_is_neither_used_nor_changed(name: str) -> None:
    planned = short.built(name, 0)
    torch.manual_seed(1234)
    before = torch.random.get_rng_state()
    for position in range(len(planned.links)):
        assert same(train(planned, position), trained(name, 0)[position])
    assert torch.equal(torch.random.get_rng_state(), before)


@each_method
def test_a_stage_stopped_at_any_third_goes_on_with_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    planned = short.built(name, 0)
    for position in range(len(planned.links)):
        stops, path = {1 / 3, 2 / 3}, tmp_path / f"{position}.checkpoint"

        def progress(step: int, total: int, stops: set[float] = stops) -> None:
            for share in sorted(stops):
                if step >= 1 + share * total:  # a checkpoint of the step before is there
                    stops.remove(share)
                    raise Stop

        result = None
        for _ in range(3):
            context = CheckpointedRun(path, progress)
            try:
                result = train(planned, position, context)
            except Stop:
                assert path.is_file()
        assert not stops, "it was stopped twice"
        assert result is not None
        assert same(result, trained(name, 0)[position])


@each_method
def test_shared_stages_have_one_key_for_all_tasks_and_own_stages_one_each(name: str) -> None:
    rings, logp = short.built(name, task="demo:rings"), short.built(name, task="demo:logp")
    assert [link.stage.name for link in rings.links] == [link.stage.name for link in logp.links]
    for mine, theirs in zip(rings.links, logp.links, strict=True):
        keys = mine.stage.key(mine.spec), theirs.stage.key(theirs.spec)
        assert (keys[0] == keys[1]) == mine.stage.shared
        assert (mine.digest == theirs.digest) == mine.stage.shared
    assert rings.links[0].stage.shared, "the general-domain start"
    assert not rings.links[-1].stage.shared, "the stage that sees labels"


@each_method
def test_a_shared_stage_gives_the_same_bits_from_whichever_task_it_is_trained(name: str) -> None:
    logp = short.built(name, task="demo:logp")
    for position, link in enumerate(logp.links):
        if link.stage.shared:
            assert same(train(logp, position), trained(name, 0)[position])


@each_method
def test_keys_are_json_and_name_no_path(name: str, bench_home: Path) -> None:
    for link in short.built(name).links:
        key = link.stage.key(link.spec)
        text = json.dumps(key, allow_nan=False)
        assert json.loads(text) == key
        assert not [value for value in strings(key) if "/" in value or "\\" in value]
        assert str(bench_home) not in text


@each_method
def test_every_number_of_a_stage_is_in_its_key(name: str) -> None:
    """Two seeds, and two values of what the stage reads, have two keys."""
    base, other = short.built(name), short.built(name, 1)
    for mine, theirs in zip(base.links, other.links, strict=True):
        if mine.spec.seed == base.cell.seed and mine.spec != theirs.spec:
            assert mine.stage.key(mine.spec) != theirs.stage.key(theirs.spec)
    changed = {"start": "start.optimiser.lr=0.01", "continued": "continued.batch=8", "tri-level": "continued.batch=8",
               "finetune": "finetune.optimiser.lr=0.01"}  # fmt: skip
    for position, link in enumerate(base.links):
        moved = short.built(name, assignments=(changed[link.stage.name],)).links
        assert [mine.digest == theirs.digest for mine, theirs in zip(base.links, moved, strict=True)] == [
            before < position for before in range(len(moved))
        ], "it and all after it change, nothing before it"


def test_a_start_from_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    spec = short.built("finetune").spec
    keys = []
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
        settings = short.rules("start.kind=checkpoint", f"start.checkpoint={tmp_path / name}")
        resolved = settings.resolve(METHODS.get("finetune"), spec.task, spec.backbone).settings
        keys.append(start_stage(resolved.start).key(spec))
    assert keys[0] == keys[1] != keys[2]
    assert not [value for value in strings(keys[0]) if "/" in value]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*strings(key), *strings(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)
