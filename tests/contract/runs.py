"""Every method on every modality that it runs on, cut to seconds in all; what was trained once serves all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch

from bench.chain import Chain, Link, backbone_for
from methods import METHODS
from methods.stage import Context, StageResult, Stateful, Uninterrupted
from tasks import BACKBONES
from tasks.catalogue import get
from tasks.problem import Problem
from tasks.randomness import derive
from tests.bench import short

ANALYTIC, IMAGES, TEXT, GRAPHS = "analytic:isotropic", "demo:rings", "demo:mood", "demo:rings-graph"
# On top of what is short already. An image costs a thousand times what a vector does.
SMALLER: dict[str, tuple[str, ...]] = {
    "analytic": ("tapweight.unroll_one=1",),
    "demo": ("tapweight.unroll_one=1",
        "image.width=4", "start.batch=8", "continued.batch=8", "finetune.batch=64", "finetune.epochs=1",
        "tapweight.batch=8", "tapweight.validation_batch=8", "tapweight-blo.batch=8",
        "tapweight-blo.validation_batch=8", "tartan.meta_batch=8",
        "graph.layers=2", "graph.width=8", "graph.schnet_width=8", "graph.schnet_filters=8",
        "graph.schnet_interactions=1", "graph.schnet_gaussians=6",
    ),
}  # fmt: skip


def pairs(*tasks: str) -> list[Any]:
    """(method, task) for every registered method on every task with the backbone of fine-tuning, as parameters."""
    found = []
    for name in METHODS.names():
        entry = METHODS.get(name)
        skip = pytest.mark.skipif(bool(entry.missing), reason=f"{name} needs {', '.join(entry.missing)}")
        for task in tasks:
            # A method of graphs alone reads the molecules of demo:rings as graphs: that is GRAPHS once more.
            usual = backbone_for(METHODS.get("finetune"), get(task))
            if usual and backbone_for(entry, get(task)) == usual:
                found.append(pytest.param(name, task, marks=skip, id=f"{name}-{BACKBONES.get(usual).modality}"))
    return found


def planned(name: str, task: str, seed: int = 0, *assignments: str) -> Chain:
    """The shortened cell."""
    return short.built(name, seed, task, (*SMALLER[get(task).suite], *assignments))


def problem_of(cell: Chain, link: Link) -> Problem:
    """The problem that a stage trains on, a new one each time."""
    return cell.problem(link, "cpu")[0]


def train(cell: Chain, position: int, context: Context | None = None, problem: Problem | None = None) -> StageResult:
    """Run one stage of a cell, after those before it, on a problem of its own unless one is given."""
    link = cell.links[position]
    before = output(cell, position - 1).weights if position else {}
    return link.stage.run(problem or problem_of(cell, link), before, context or Seeded())


class Seeded(Uninterrupted):
    """A context that saves nothing and drops the same units as a run of seed 0 does."""

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        for step in range(total):
            torch.manual_seed(derive(0, "step", step))
            yield step


_outputs: dict[str, StageResult] = {}  # by digest: cells share what they share in a run


def output(cell: Chain, position: int) -> StageResult:
    """What a stage leaves behind, trained once."""
    digest = cell.links[position].digest
    if digest not in _outputs:
        _outputs[digest] = train(cell, position)
    return _outputs[digest]


@cache
def trained(name: str, task: str, seed: int = 0) -> list[StageResult]:
    """The outputs of all stages."""
    cell = planned(name, task, seed)
    return [output(cell, position) for position in range(len(cell.links))]


def tensors(result: StageResult) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor that a stage leaves behind, by name."""
    for part, state in result.weights.items():
        yield from ((f"{part}/{name}", tensor) for name, tensor in state.items())
    for readout, model in result.models.items():
        for part, state in model._asdict().items():
            yield from ((f"{readout}/{part}/{name}", tensor) for name, tensor in state.items())


def same(first: StageResult, second: StageResult) -> bool:
    """Whether two outputs agree in every bit."""
    mine, theirs = dict(tensors(first)), dict(tensors(second))
    return (
        mine.keys() == theirs.keys()
        and all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
        and json.dumps(first.log) == json.dumps(second.log)
    )
