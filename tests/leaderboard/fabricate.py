"""Records made up for the leaderboard's tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.files import digest
from bench.records import Cell, Failure, Record, Trajectory, write

FIVE = ["cluster-30", "cluster-100", "cluster-300", "jigsaw", "mask-contrastive"]
OBJECTIVES = ["cluster-100", "cluster-1000", "jigsaw", "contrastive"]


def trajectory(seed: int, pull: float = 1.0, steps: Sequence[int] = tuple(range(4, 104, 4))) -> Trajectory:
    """Weights that leave the centre along one direction, with noise from the seed."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(steps), 4)).cumsum(axis=0)
    logits = np.linspace(0, pull, len(steps))[:, None] * np.array([0.1, -0.6, 0.0, 0.7]) + noise
    weights = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Trajectory(objectives=OBJECTIVES, steps=list(steps), weights=weights.tolist(), alignment=[], losses=[])


def path(final: Sequence[float]) -> Trajectory:
    """Weights named w0, w1 ... that go from equal ones to ``final`` in one step."""
    equal = [1 / len(final)] * len(final)
    names = [f"w{index}" for index in range(len(final))]
    return Trajectory(objectives=names, steps=[4, 8], weights=[equal, list(final)], alignment=[], losses=[])


def many(seeds: int = 5, task: str = "moleculenet:bace", **changes: Any) -> list[Record]:
    """Twelve learned methods: four with a control, of which one puts all weight on the end task; eight without."""
    found = []
    controlled = ("tapweight", "tapweight-blo", "meta-tartan", "tapweight-pairwise")
    others = ("rlw", "uncertainty", "dwa", "famo", "gradcos", "autolambda", "search-random", "search-tpe")
    for place, method in enumerate((*controlled, *(f"{name}-null" for name in controlled), *others)):
        joint = method.startswith("meta-tartan")
        for seed in range(seeds):
            generator = np.random.default_rng([place, seed])
            steps = range(1, 9) if "search" in method else range(4, 204, 4)
            logits = np.linspace(0, 1, len(steps))[:, None] * np.array([0.1, -0.3, -0.6, 0.0, 0.7, 4.0][: 5 + joint])
            spread = 1.0 if "search" in method or method == "rlw" else 0.03
            noise = generator.normal(0, spread, logits.shape)
            weights = np.exp(logits + (noise if spread == 1 else noise.cumsum(axis=0)))
            if "search" in method:  # the best so far
                weights = weights[[0, 0, 2, 2, 2, 5, 5, 5]]
            moved = Trajectory(
                objectives=[*FIVE, *["end-task"] * joint],
                steps=list(steps),
                weights=(weights / weights.sum(axis=1, keepdims=True)).tolist(),
                alignment=[],
                losses=[],
            )
            control = method.removesuffix("-null") if method.endswith("-null") else None
            score = 0.8 + generator.normal(0, 0.01)
            spent = {"trials": 8, "pretraining_steps": 1600, "finetuning_epochs": 96} if "search" in method else None
            more = {"trajectory": moved, "control_of": control, "budget": spent} | changes
            found.append(record(method, task, seed, score, **more))
    return found


def record(method: str, task: str, seed: int, score: float, **changes: Any) -> Record:
    """A record with score ``score`` on test; ``changes`` are fields."""
    fields: dict[str, Any] = {
        "method": method,
        "task": task,
        "backbone": "image-small",
        "seed": seed,
        "protocol": "small",
        "split_checksum": digest(task),
        "metric": "rmse" if task.endswith("esol") else "roc_auc",
        "marks": True,
        "primary": "best-val",
        "chosen_step": 3,
        "seconds": {"finetune": 40.0},
        "shared_seconds": {"general": 900.0},
        "peak_memory_bytes": 500 * 2**20,
        "examples_per_second": 800.0,
        "settings": {},
        "data": {},
        "provenance": {
            "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
            "commit": "0" * 40,
            "dirty": False,
            "device": "cpu",
        },
    } | changes
    fields.setdefault("identity", digest([fields[name] for name in ("method", "task", "backbone", "seed", "protocol")]))
    fields.setdefault("higher_is_better", fields["metric"] == "roc_auc")
    fields.setdefault("scores", {"best-val": {"val": {fields["metric"]: 0.5}, "test": {fields["metric"]: score}}})
    return Record.model_validate(fields)


def failure(method: str, task: str, seed: int, reason: str = "loss is not finite") -> Failure:
    """A failure of the cell that :func:`record` would fill."""
    cell = record(method, task, seed, 0.0).model_dump(include=set(Cell.model_fields))
    return Failure(**cell, reason=reason, traceback="...", attempts=2, finished="2026-01-01T00:00:00Z")


def save(folder: Path, results: Iterable[Record | Failure]) -> None:
    """Write all results below ``folder``."""
    for result in results:
        write(folder, result)


def plan(folder: Path, cells: Iterable[Cell], methods: Sequence[str], tasks: Sequence[str], **more: Any) -> None:
    """Write a plan of ``cells``."""
    names = {"identity", "method", "task", "backbone", "seed", "protocol"}
    content = {"cells": [cell.model_dump(include=names) for cell in cells], "methods": methods, "tasks": tasks} | more
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(content))


def grid(
    seeds: int = 5, tasks: Sequence[str] = ("moleculenet:bace", "moleculenet:esol"), **changes: Any
) -> list[Record]:
    """finetune, cp and tapweight with its control; tapweight better by four standard deviations."""
    found = []
    for task in tasks:
        generator = np.random.default_rng(len(task))
        error = task.endswith("esol")
        for method, gain in (("finetune", 0.0), ("cp", 0.01), ("tapweight", 0.04), ("tapweight-null", 0.03)):
            for seed in range(seeds):
                level = 1.1 - 5 * gain if error else 0.8 + gain
                score = level + generator.normal(0, 0.05 if error else 0.01)
                extra: dict[str, Any] = dict(changes)
                if method.startswith("tapweight"):
                    control = method.endswith("null")
                    extra["trajectory"] = trajectory(seed + 50 * control, 0.8 if control else 1.0)
                    extra["control_of"] = "tapweight" if control else None
                    extra["seconds"] = {"tapweight": 60.0, "finetune": 41.0}
                    metric = "rmse" if error else "roc_auc"
                    extra["scores"] = {
                        "best-val": {"test": {metric: score}},
                        "learned head": {"test": {metric: score * 0.99}},
                    }
                elif method == "cp":
                    extra["shared_seconds"] = {"general": 900.0, "continued": 45.0}
                found.append(record(method, task, seed, score, **extra))
    return found


LARGE_METHODS = (
    "finetune", "tapt", "dapt", "cp", "mt-tartan", "meta-tartan", "tapweight-blo", "tapweight", "famo", "rlw", "gradcos"
)  # fmt: skip
CLASSIFIED = ("bace", "bbbp", "clintox", "sider", "tox21", "toxcast", "hiv", "muv")
MEASURED = ("freesolv", "esol", "lipo", "qm7", "qm9")
LANGUAGE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte")


def large(
    methods: Sequence[str] = LARGE_METHODS, seeds: int = 10, tasks: Sequence[str] | None = None, updates: int = 50
) -> list[Record]:
    """11 methods x 21 tasks x 10 seeds = 2,310 records with trajectories and learning curves; a few real effects."""
    if tasks is None:
        tasks = [*(f"moleculenet:{name}" for name in (*CLASSIFIED, *MEASURED)), *(f"glue:{name}" for name in LANGUAGE)]
    found: list[Record] = []
    for task in tasks:
        error = task.partition(":")[2] in MEASURED
        metric = "rmse" if error else "roc_auc" if task.startswith("moleculenet") else "accuracy"
        hardness = np.random.default_rng([len(task), ord(task[-1])]).uniform(0.1, 0.4)
        for place, method in enumerate(methods):
            gain = {"tapweight": 0.12, "tapweight-blo": 0.08, "meta-tartan": 0.06, "rlw": -0.1}.get(method, 0.0)
            for seed in range(seeds):
                generator = np.random.default_rng([place, seed, len(found)])
                left = (1 - gain) * hardness * (1 + generator.normal(0, 0.04))  # error
                epochs = int(generator.integers(4, 12))
                curve = [left * (1 + 0.5 / (epoch + 1)) for epoch in range(epochs)]
                learns = method in ("meta-tartan", "tapweight-blo", "tapweight", "famo", "rlw", "gradcos")
                found.append(
                    record(
                        method,
                        task,
                        seed,
                        5 * left if error else 1 - left,
                        backbone="roberta-small" if task.startswith("glue") else "image-small",
                        metric=metric,
                        higher_is_better=not error,
                        trajectory=trajectory(seed + 100 * place, steps=range(4, 4 * updates + 4, 4))
                        if learns
                        else None,
                        learning_curve={
                            "unit": "epoch",
                            "done": list(range(1, epochs + 1)),
                            "validation": [5 * value if error else 1 - value for value in curve],
                        },
                        seconds={"finetune": 40.0} | ({"train": 20.0 + 10 * place} if place > 2 else {}),
                    )
                )
    return found


METHODS = ["finetune", "cp", "tapweight", "tapweight-null"]
TASKS = ["moleculenet:bace", "moleculenet:esol"]


def unfinished(folder: Path) -> Path:
    """Five seeds; of cp on bace seed 3 failed and seed 4 is damaged; of cp on esol seed 4 is missing."""
    cells = grid()
    save(folder, [cell for cell in cells if not lacks(cell)])
    save(folder, [failure("cp", "moleculenet:bace", 3, "a|b\n<class 'ValueError'>")])
    (folder / "records/cp/moleculenet-bace/seed-4-aa.json").write_text('{"format": 1, "meth')
    skipped = [{"method": "mlm", "task": "moleculenet:bace", "reason": "molecules have no tokens"}]
    plan(folder, cells, METHODS, TASKS, skipped=skipped)
    return folder


def lacks(cell: Record) -> bool:
    """Whether :func:`unfinished` lacks the record of a cell."""
    return cell.method == "cp" and cell.seed in ((3, 4) if cell.task.endswith("bace") else (4,))


def file(folder: Path, method: str, seed: int) -> Path:
    """The one record of a method and seed, in a folder of one task."""
    (path,) = folder.glob(f"records/{method}/*/seed-{seed}-*.json")
    return path


def change(path: Path, **values: Any) -> None:
    """Change fields of a file of JSON."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
