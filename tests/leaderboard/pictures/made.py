"""Boards made up for the pictures' tests, without records and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leaderboard.content import (
    Board,
    Cost,
    Entry,
    Estimate,
    Interval,
    LearningCurves,
    Ranking,
    Row,
    SuiteRow,
    SuiteTable,
    Summary,
    TaskCurves,
    TaskTable,
    WeightCurves,
)
from leaderboard.summary import suite_cost

METHODS = ("finetune", "cp", "tapweight", "tapweight-null")


def summary(scores: Sequence[float]) -> Summary:
    """What stands behind a cell, of seeds 0, 1 ..."""
    sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    names = [f"id{seed}" for seed in range(len(scores))]
    return Summary(
        mean=float(np.mean(scores)), sd=sd, n=len(scores), scores=list(scores), seeds=list(range(len(scores))),
        identities=names,
    )  # fmt: skip


def cost(seconds: float, ratio: float | None, **shared: float) -> Cost:
    """Seconds of a cell."""
    return Cost(seconds=seconds, shared_seconds=shared, peak_memory_bytes=1, examples_per_second=1.0, ratio=ratio)


def task(name: str, scores: dict[str, Sequence[float]], higher: bool = True) -> TaskTable:
    """A task on which each method scored what ``scores`` say, at 1, 2 ... times the seconds of the first."""
    entries = [
        Entry(
            row=row, summary=summary(found) if len(found) else None, readouts={}, planned=len(found),
            skipped=None, cost=cost(10.0 * (place + 1), place + 1.0) if len(found) else None,
        )
        for place, (row, found) in enumerate(scores.items())
    ]  # fmt: skip
    return TaskTable(
        task=name, metric="roc_auc" if higher else "rmse", higher_is_better=higher, split_checksum="0" * 16,
        entries=entries, comparisons=[], pairwise=None, no_marks=None, no_ties=None, smallest_effect=None, learned=[],
    )  # fmt: skip


def weight_curves(row: str, control_of: str | None = None, **changes: Any) -> WeightCurves:
    """Weights of three objectives over three steps; "far" ends highest."""
    fields: dict[str, Any] = {
        "row": row,
        "control_of": control_of,
        "objectives": ["near", "far", "noise"],
        "unit": "pretraining step",
        "steps": [4, 8, 12],
        "mean": [[0.33, 0.34, 0.33], [0.3, 0.5, 0.2], [0.25, 0.65, 0.1]],
        "sd": [[0.01] * 3, [0.02] * 3, [0.03] * 3],
        "seeds": 3,
        "note": None,
    }
    return WeightCurves.model_validate(fields | changes)


def learning_curves(row: str, epochs: int = 5, seeds: int = 3) -> LearningCurves:
    """A curve that rises; one seed after the other stops at the end."""
    left = [max(1, min(seeds, epochs - k)) for k in range(epochs)]
    mean = [0.8 - 0.3 / (k + 1) for k in range(epochs)]
    sd = [0.02 if count > 1 else None for count in left]
    return LearningCurves(row=row, unit="epoch", done=list(range(1, epochs + 1)), mean=mean, sd=sd, seeds=left)


def board(
    methods: Sequence[str] = METHODS,
    tasks: Sequence[str] = ("one:a", "one:b"),
    seeds: int = 3,
    protocol: str = "small",
    focus: str | None = "tapweight",
    epochs: int = 5,
) -> Board:
    """Everything that a board can hold; a method NAME-null is the control of NAME."""
    found = []
    for place, name in enumerate(tasks):
        draws = np.random.default_rng(place).normal(0, 0.01, (len(methods), seeds))
        error = place % 2 == 1
        level = [1.0 - 0.02 * k if error else 0.7 + 0.005 * k for k in range(len(methods))]
        scores = {row: (level[k] + draws[k]).tolist() for k, row in enumerate(methods)}
        found.append(task(name, scores, higher=not error))
    control = {row: row.removesuffix("-null") for row in methods if row.endswith("-null")}
    rows = [Row(label=row, method=row, backbones=["b"], control_of=control.get(row)) for row in methods]
    learned = [row for row in methods if row not in ("finetune", "cp")]
    return Board(
        protocol=protocol, focus=focus, rows=rows, seeds=list(range(seeds)), tasks=found,
        suites=[suite(name, found, rows) for name in dict.fromkeys(table.suite for table in found)],
        published=[], published_costs=[], cells=0, missing=[], failed=[], pictures=[], software={}, origins=[],
        curves=[
            TaskCurves(
                task=name, weights=[weight_curves(row, control.get(row)) for row in learned],
                learning=[learning_curves(row, epochs, seeds) for row in methods],
            )
            for name in tasks
        ],
    )  # fmt: skip


def suite(name: str, tables: Sequence[TaskTable], rows: Sequence[Row]) -> SuiteTable:
    """Row k removes k tenths of the error; ranks are in the order of the rows."""
    mine = [table.task for table in tables if table.suite == name]
    free = [row.label for row in rows if row.control_of is None]
    costs = {
        row.label: [table.entries[k].cost for table in tables if table.suite == name] for k, row in enumerate(rows)
    }

    def estimate(k: int) -> Estimate:
        return Estimate(value=0.01 * k, low=0.01 * k - 0.005, high=0.01 * k + 0.005)

    return SuiteTable(
        suite=name, tasks=mine, comparisons=[], no_marks=None, no_aggregate=None, generator_seed=0,
        rows=[
            SuiteRow(
                row=row.label, missing=[], error_removed=[estimate(k) for _ in mine], iqm=estimate(k),
                iqm_over_tasks=Interval(low=0.01 * k - 0.02, high=0.01 * k + 0.02), mean_score=None, average_rank=None,
                cost_ratio=suite_cost(costs[row.label], costs[free[0]]),
            )
            for k, row in enumerate(rows)
        ],
        ranking=ranking(free, [float(k + 1) for k in range(len(free))], [free[:2]] if len(free) > 1 else []),
    )  # fmt: skip


def ranking(
    rows: Sequence[str], ranks: Sequence[float], groups: Sequence[Sequence[str]], no_groups: str | None = None
) -> Ranking:
    """Average ranks with groups."""
    many = len(rows)
    return Ranking(
        rows=list(rows), average_ranks=list(ranks), groups=[list(group) for group in groups],
        p_holm=[[None] * many] * many, family_size=many * (many - 1) // 2, no_groups=no_groups,
    )  # fmt: skip
