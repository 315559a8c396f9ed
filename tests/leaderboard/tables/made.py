"""Reports made by hand for the tests of tables: every part is filled, no record is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leaderboard.content import (
    Board,
    Comparison,
    Cost,
    Entry,
    Estimate,
    Interval,
    Pairwise,
    Picture,
    Procedure,
    PublishedCost,
    PublishedRow,
    PublishedScore,
    PublishedTable,
    Ranking,
    Report,
    Row,
    SuiteComparison,
    SuiteRow,
    SuiteTable,
    Summary,
    TaskTable,
)
from leaderboard.summary import suite_cost

METHODS = ("finetune", "cp", "tapweight")
TASKS = ("moleculenet:bace", "moleculenet:bbbp")
EXACT = Procedure(statistic="difference of means", pairing="unpaired", exact=True, splits=252, generator_seed=None)
FLIPS = Procedure(statistic="mean", pairing="paired", exact=True, splits=4, generator_seed=None)
DRAWN = Procedure(statistic="mean", pairing="unpaired", exact=False, splits=9999, generator_seed=7)


def summary(mean: float, sd: float | None = 0.0125, n: int = 5) -> Summary:
    """A summary whose numbers need not come from its scores."""
    return Summary(mean=mean, sd=sd, n=n, scores=[mean] * n, seeds=list(range(n)), identities=["aa"] * n)


def entry(row: str, mean: float | None, **changes: Any) -> Entry:
    """One row on one task."""
    cost = Cost(
        seconds=40.0,
        shared_seconds={"start": 900.0},
        peak_memory_bytes=500 * 2**20,
        examples_per_second=1.0,
        ratio=1.0,
    )
    fields: dict[str, Any] = {
        "row": row,
        "summary": None if mean is None else summary(mean),
        "baseline": None if mean is None else METHODS[0],
        "readouts": {},
        "cost": None if mean is None else cost,
        "planned": 5,
        "skipped": None,
    }
    return Entry(**fields | changes)


def comparison(other: str, effect: float, **changes: Any) -> Comparison:
    """The focus method against ``other``."""
    fields: dict[str, Any] = {
        "focus": "tapweight",
        "other": other,
        "n_focus": 5,
        "n_other": 5,
        "incomplete": False,
        "effect": effect,
        "interval": Interval(low=effect - 0.011, high=effect + 0.013),
        "effect_sd": effect / 0.0125,
        "effect_error_removed": effect / 0.25,
        "probability_better": 0.96,
        "seed_correlation": 0.123,
        "p": 0.0079365,
        "p_focus_better": 0.004,
        "family": "f",
        "family_size": 2,
        "p_holm": 0.015873,
        "p_holm_all": 0.031746,
        "identities_focus": [],
        "identities_other": [],
    }
    return Comparison(**EXACT.model_dump() | fields | changes)


def task(name: str, methods: Sequence[str] = METHODS, **changes: Any) -> TaskTable:
    """The last method is the focus and the best."""
    means = [0.75 + 0.0123 * place for place in range(len(methods))]
    entries = [entry(row, mean) for row, mean in zip(methods, means, strict=True)]
    entries[-1].tied_with_best = True
    entries[0].mark = "worse"
    size = range(len(methods))
    pairwise = Pairwise(
        pairing="unpaired",
        rows=list(methods),
        p=[[None if i == j else 0.01 + 0.001 * (i + j) for j in size] for i in size],
        p_holm=[[None if i == j else 0.03 + 0.01 * (i + j) for j in size] for i in size],
        family="f",
        family_size=len(methods) * (len(methods) - 1) // 2,
        no_marks=None,
    )
    fields: dict[str, Any] = {
        "task": name,
        "metric": "roc_auc",
        "higher_is_better": True,
        "split_checksum": "c" * 64,
        "entries": entries,
        "comparisons": [comparison(row, means[-1] - mean) for row, mean in zip(methods[:-1], means[:-1], strict=True)],
        "pairwise": pairwise,
        "no_marks": None,
        "no_ties": None,
        "smallest_effect": 0.02,
        "learned": [],
    }
    return TaskTable(**fields | changes)


def suite(tasks: Sequence[str] = TASKS, methods: Sequence[str] = METHODS, **changes: Any) -> SuiteTable:
    """Everything over the tasks."""
    rows = [
        SuiteRow(
            row=row,
            missing=[],
            error_removed=[
                Estimate(value=0.1 * place + 0.01 * k, low=0.1 * place - 0.02, high=0.1 * place + 0.05)
                for k in range(len(tasks))
            ],
            iqm=Estimate(value=0.1 * place, low=0.1 * place - 0.021, high=0.1 * place + 0.032),
            iqm_over_tasks=Interval(low=0.1 * place - 0.043, high=0.1 * place + 0.054),
            mean_score=0.7 + 0.01 * place,
            cost_ratio=None,
            average_rank=float(len(methods) - place),
        )
        for place, row in enumerate(methods)
    ]
    compared = [
        SuiteComparison(
            focus=methods[-1],
            other=row,
            tasks=list(tasks),
            difference=0.1 * (len(methods) - 1 - place),
            interval=Interval(low=0.05, high=0.1 * (len(methods) - place)),
            sign_flip=FLIPS,
            p=0.0078,
            p_holm=0.0156,
            stratified=DRAWN,
            p_stratified=0.0001,
            p_stratified_holm=0.0002,
            improvement=Estimate(value=0.91, low=0.84, high=0.97),
            family="s",
            family_size=len(methods) - 1,
            identities_focus=[],
            identities_other=[],
        )
        for place, row in enumerate(methods[:-1])
    ]
    best_first = list(reversed(methods))
    ranking = Ranking(
        rows=best_first,
        average_ranks=[float(place + 1) for place in range(len(methods))],
        groups=[best_first[:2], best_first[1:]],
        p_holm=[[None] * len(methods) for _ in methods],
        family_size=3,
        no_groups=None,
    )
    fields: dict[str, Any] = {
        "suite": tasks[0].partition(":")[0],
        "tasks": list(tasks),
        "rows": rows,
        "comparisons": compared,
        "ranking": ranking,
        "no_marks": None,
        "no_aggregate": None,
        "generator_seed": 0,
    }
    return SuiteTable(**fields | changes)


def published(**changes: Any) -> PublishedTable:
    """Two rows of a paper in percent, of which one reads 71.0."""
    rows = [
        PublishedRow(
            method=method,
            name=name,
            scores=[
                PublishedScore(task=task, metric="ROC-AUC", value=value, sd=sd)
                for task, value, sd in zip(TASKS, values, (0.5, 1.25), strict=True)
            ],
            average=average,
            recomputed_average=float(np.mean(values)),
        )
        for method, name, values, average in (
            ("tapweight", "TapWeight", (83.1, 71.0), 77.1),
            ("", "Other", (80.0, 70.5), 75.3),
        )
    ]
    fields: dict[str, Any] = {
        "paper": "A paper",
        "source": "arXiv 0000.00000, Table 1",
        "suite": "moleculenet",
        "units": "percent",
        "n": 10,
        "spread": "the standard deviation",
        "differences": ["Another corpus."],
        "rows": rows,
        "flags": ["best on all tasks, but not on bbbp"],
    }
    return PublishedTable(**fields | changes)


def board(
    methods: Sequence[str] = METHODS,
    tasks: Sequence[str] = TASKS,
    task_tables: Sequence[TaskTable] = (),
    **changes: Any,
) -> Board:
    """One protocol; the last method is the focus."""
    suites = dict.fromkeys(name.partition(":")[0] for name in tasks)
    fields: dict[str, Any] = {
        "protocol": "small",
        "focus": methods[-1],
        "rows": [Row(label=name, method=name, backbones=["image-small"], control_of=None) for name in methods],
        "seeds": [0, 1, 2, 3, 4],
        "tasks": list(task_tables) or [task(name, methods) for name in tasks],
        "suites": [suite([name for name in tasks if name.startswith(f"{one}:")], methods) for one in suites],
        "published": [published()],
        "published_costs": [
            PublishedCost(
                paper="A paper",
                source="Table 5",
                method="cp",
                name="CP+FT",
                low=2.18,
                high=2.76,
                note="smallest and largest.",
            )
        ],
        "curves": [],
        "cells": 5 * len(methods) * len(tasks),
        "missing": [],
        "failed": [],
        "pictures": [
            Picture(
                kind="ranks", subject="moleculenet", file="pictures/ranks", title="Ranks", description="Who leads."
            ),
            Picture(
                kind="seeds", subject="moleculenet:bace", file="pictures/s", title="Seeds", description="Each seed."
            ),
        ],
        "software": {"torch": ["2.13.0"]},
        "origins": [],
    }
    made = Board(**fields | changes)
    for one in made.suites:
        own = [table for table in made.tasks if table.suite == one.suite]
        costs = {entry.row: [table.entries[k].cost for table in own] for k, entry in enumerate(own[0].entries)}
        for row in one.rows:
            row.cost_ratio = suite_cost(costs[row.row], costs[methods[0]])
    return made


def report(*boards: Board, **changes: Any) -> Report:
    """A report of ``boards``, by default of one."""
    fields: dict[str, Any] = {
        "folders": ["run"],
        "boards": list(boards) or [board()],
        "skipped": [],
        "damaged": [],
        "set_aside": [],
    }
    return Report(**fields | changes)
