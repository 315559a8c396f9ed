"""What every registered method must keep to, on every modality, under a shortened smoke protocol."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.checkpoint import CheckpointedRun
from methods import METHODS
from methods.stage import Uninterrupted
from methods.weighting.rule import Rule, Signals, Weighting
from tasks import BACKBONES
from tests.contract.runs import (
    ANALYTIC,
    GRAPHS,
    IMAGES,
    TEXT,
    output,
    pairs,
    planned,
    problem_of,
    same,
    tensors,
    train,
    trained,
)

on_all = pytest.mark.parametrize(("name", "task"), pairs(ANALYTIC, IMAGES, TEXT, GRAPHS))
on_vectors = pytest.mark.parametrize(("name", "task"), pairs(ANALYTIC))


class Stop(Exception):
    """The process went away."""


def test_all_methods_and_modalities_are_here() -> None:
    found = [tuple(parameters.values) for parameters in pairs(ANALYTIC, IMAGES, TEXT, GRAPHS)]
    assert {name for name, _ in found} == set(METHODS.names())
    read = {BACKBONES.get(name).modality for name in BACKBONES.names()}
    assert read == {"analytic", "image", "text", "graph"}, "a new modality needs a task here"


@on_all
def test_everything_is_finite_and_complete(name: str, task: str) -> None:
    results = trained(name, task)
    for result in results:
        assert all(torch.isfinite(tensor).all() for _, tensor in tensors(result))
        assert all(tensor.device.type == "cpu" and not tensor.requires_grad for _, tensor in tensors(result))
        assert json.loads(json.dumps(result.log, allow_nan=False)) == result.log
    models = {readout for result in results for readout in result.models}
    assert "best" in models
    log = {key: value for result in results for key, value in result.log.items()}
    # A head from an earlier stage may be as good before fine-tuning as after it.
    assert log["chosen_step"] in ((0, 1, 2) if "head" in results[-2].weights else (1, 2))
    if METHODS.get(name).learns:
        rows = log["trajectory"]["weights"]
        assert all(min(row) >= 0 and abs(sum(row) - 1) < 1e-9 for row in rows)
        tried = [trial["weights"] for trial in log.get("trials", [])]  # a search may keep the weights it began with
        assert any(row != rows[0] for row in [*rows, *tried])


@on_all
def test_another_seed_gives_other_bits(name: str, task: str) -> None:
    cell, others = planned(name, task), trained(name, task, 1)
    for position, link in enumerate(cell.links):
        if link.spec.seed == cell.cell.seed and position:
            assert not same(others[position], trained(name, task)[position])


@on_all
def test_stopped_at_both_thirds_it_goes_on_with_the_same_bits(
    name: str, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt reads the checkpoint of the one before; so one seed gives one result, too."""
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    cell = planned(name, task)
    for position in range(len(cell.links)):
        stops, path = {1 / 3, 2 / 3}, tmp_path / f"{position}.checkpoint"

        def progress(step: int, total: int, stops: set[float] = stops) -> None:
            for share in sorted(stops):
                if step >= 1 + share * total:  # a checkpoint of the step before is there
                    stops.remove(share)
                    raise Stop

        result = None
        for _ in range(3):
            try:
                result = train(cell, position, CheckpointedRun(path, progress))
            except Stop:
                assert path.is_file()
        assert not stops, "it was stopped twice"
        assert result is not None
        assert same(result, trained(name, task)[position])


@on_vectors
def test_global_randomness_is_neither_used_nor_changed(name: str, task: str) -> None:
    cell, expected = planned(name, task), trained(name, task)
    torch.manual_seed(1234)
    np.random.seed(1234)
    random.seed(1234)
    before = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    for position in range(len(cell.links)):
        assert same(train(cell, position, Uninterrupted()), expected[position])
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert str(np.random.get_state()) == str(before[1])
    assert random.getstate() == before[2]


@on_vectors
def test_neither_inputs_nor_labels_of_the_test_split_matter(name: str, task: str) -> None:
    cell = planned(name, task)
    for position, link in enumerate(cell.links):
        problem: Any = problem_of(cell, link)
        rows = problem._labels.parts["test"]
        assert np.isnan(problem._labels._visible[rows.numpy()]).all()
        problem._inputs[rows] = float("nan")
        assert same(train(cell, position, problem=problem), trained(name, task)[position])


class Watched:
    """Signals that note what a rule reads of them."""

    def __init__(self, signals: Signals, read: set[str]) -> None:
        self._signals, self._read = signals, read

    def require(self, need: Any) -> torch.Tensor:
        self._read.add(need)
        return self._signals.require(need)

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._signals, name)


def test_watched_signals_note_both_ways_of_reading() -> None:
    read = set[str]()
    watched: Any = Watched(Signals(torch.ones(2), alignment=torch.zeros(2)), read)
    assert watched.decay == 1
    assert torch.equal(watched.losses, torch.ones(2))
    assert read == {"decay", "losses"}
    assert torch.equal(watched.require("alignment"), torch.zeros(2))
    assert read == {"decay", "losses", "alignment"}


@on_vectors
def test_rules_read_the_signals_that_they_declare_and_no_other(
    name: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, watched = Rule.build, list[tuple[Weighting, set[str]]]()

    def spied(self: Rule, *arguments: Any) -> Weighting:
        rule, read = build(self, *arguments), set[str]()
        update = rule.update
        watched.append((rule, read))
        rule.update = lambda signals: update(Watched(signals, read))  # type: ignore[method-assign,arg-type]
        return rule

    cell = planned(name, task)
    expected = trained(name, task)
    monkeypatch.setattr(Rule, "build", spied)
    for position in range(len(cell.links)):
        assert same(train(cell, position), expected[position])
    for rule, read in watched:
        assert read - {"decay"} <= rule.needs, f"{type(rule).__name__} reads what it does not declare"
    needed = {need for rule, _ in watched for need in rule.needs}
    assert needed == {signal for _, read in watched for signal in read} - {"decay"}, "declared and never read"


@on_vectors
def test_rules_keep_weights_and_state_in_order(name: str, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are float64 on the simplex before and after every update; states hold what a checkpoint may hold."""
    build, seen = Rule.build, list[Weighting]()

    def spied(self: Rule, *arguments: Any) -> Weighting:
        rule = build(self, *arguments)
        update = rule.update

        def checked(signals: Signals) -> None:
            update(signals)
            seen.append(rule)
            s = rule.weights()
            assert s.dtype == torch.float64
            assert s.shape == (rule.n,)
            assert float(s.min()) >= 0
            assert float(s.sum()) == pytest.approx(1, abs=1e-12)
            assert plain(rule.state_dict())

        rule.update = checked  # type: ignore[method-assign]
        return rule

    cell = planned(name, task)
    monkeypatch.setattr(Rule, "build", spied)
    for position in range(len(cell.links)):
        train(cell, position)
    assert seen or not METHODS.get(name).learns or name.startswith("search")


# TapWeight in three and in two levels asked alike: after each step and on its batch. Else that alone tells them apart.
ALIKE = ("tapweight.point=post", "tapweight.hypergradient.name=forward", "tapweight-blo.unroll=1")
COMPARED = {
    *combinations(("famo", "tapweight", "tapweight-blo", "tapweight-null", "tapweight-pairwise"), 2),
    *combinations(("autolambda", "gradcos", "meta-tartan", "ol-aux"), 2),
    ("pcgrad", "upgrad"), ("search-random", "search-tpe"), ("tapweight-blo", "tapweight-blo-null"),
}  # fmt: skip


def learned(name: str) -> tuple[tuple[str, ...], dict[int, list[float]]]:
    """The terms that a method weighs, and its weights: by the step of pretraining, for a search by the trial."""
    cell = planned(name, ANALYTIC, 0, *ALIKE)
    log = {key: value for position in range(len(cell.links)) for key, value in output(cell, position).log.items()}
    if "trials" in log:
        return ("searched",), dict(enumerate(trial["weights"] for trial in log["trials"]))
    rows = log["trajectory"]
    return tuple(rows["objectives"]), dict(zip(rows["steps"], rows["weights"], strict=True))


def test_no_two_methods_learn_the_same_weights() -> None:
    """Compared at all steps that both have, by the largest difference; two ways to compute one thing differ by less.

    At some steps two methods may agree: before either has moved its weights; where no two gradients conflict, `pcgrad`
    and `upgrad` (equal weights); in the trials before the model's first, the two searches. On other problems two may
    agree throughout, a method and its control where all validation labels are one. `tapweight-as-released` does not run
    on vectors: with no objective idle it is `tapweight` but for the error of its differences.
    """
    names = sorted({str(parameters.values[0]) for parameters in pairs(ANALYTIC)})
    found = {name: learned(name) for name in names if METHODS.get(name).learns and not METHODS.get(name).missing}
    compared = set()
    for (name, (terms, rows)), (other, (others, theirs)) in combinations(found.items(), 2):
        if terms == others:
            steps = rows.keys() & theirs.keys()
            assert len(steps) >= 3, f"{name} and {other} have no more steps in common than {sorted(steps)}"
            assert max(np.abs(np.subtract(rows[step], theirs[step])).max() for step in steps) > 1e-3, (name, other)
            compared.add((name, other))
    assert not {pair for pair in COMPARED - compared if not any(METHODS.get(name).missing for name in pair)}


def plain(value: Any) -> bool:
    """Whether torch reads this with weights_only, without naming any class."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(inner) for inner in value)
    return value is None or isinstance(value, (torch.Tensor, bool, int, float, str))
