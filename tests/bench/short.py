"""Whole cells in a second: the smoke protocol with fewer steps, run in this process."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from bench import chain
from bench import plan as planning
from bench.chain import Chain
from bench.commands.prepare import prepare_pairs
from bench.protocol import Protocol
from bench.protocol_files import load
from bench.records import scan
from methods import METHODS
from slurm.executor import Executor, Job, Outcome
from slurm.inline import InProcess
from tasks.catalogue import expand, get

# Of every method; three steps are the fewest that can be stopped at both thirds.
ASSIGNMENTS = (
    "start.steps=3", "continued.steps=4", "finetune.epochs=2", "graph.molecules=32",
    "search.trials=3", "search.epochs=1", "search.startup=2", "dwa.window=1", "ol-aux.interval=2",
    *(f"{section}.batch=16" for section in ("tartan", "autolambda", "gradcos", "ol-aux")),
    *(f"{section}.validation_batch=16" for section in ("tartan", "autolambda")),
)  # fmt: skip


def rules(*assignments: str) -> Protocol:
    """The shortened protocol, the demo suite prepared for it; analytic tasks need no preparation."""
    protocol = load("smoke", [*ASSIGNMENTS, *assignments])
    _prepare(os.environ["BENCH_HOME"])
    return protocol


@cache
def _prepare(_: str) -> None:
    fitting, _ = planning.pairs(["finetune"], expand("demo"))
    prepare_pairs(fitting, load("smoke", ASSIGNMENTS), mirror=None, download=False, workers=1)


def built(method: str, seed: int = 0, task: str = "demo:rings", assignments: tuple[str, ...] = ()) -> Chain:
    """A planned cell, with the method's backbone for the task."""
    backbone = chain.backbone_for(METHODS.get(method), get(task))
    assert backbone is not None
    return chain.build(method, task, backbone, seed, rules(*assignments))


def jobs(out: Path, method: str, seeds: tuple[int, ...] = (0,), assignments: tuple[str, ...] = ()) -> list[Job]:
    """The jobs that are left of a run of ``method`` on demo:rings."""
    fitting, skipped = planning.pairs([method], expand("demo:rings"))
    protocol = rules(*assignments)
    return planning.jobs(planning.make(fitting, skipped, seeds, protocol, scan(out)), protocol, out, "cpu")


def run(out: Path, method: str, seeds: tuple[int, ...] = (0,), assignments: tuple[str, ...] = ()) -> list[Outcome]:
    """Plan and run; the outcomes of the cells."""
    executor: Executor = InProcess(1)
    return [end for end in executor.run(jobs(out, method, seeds, assignments)) if end.job.id.startswith("cell-")]
