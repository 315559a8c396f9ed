"""What is said over the tasks of one suite together, on one scale: the share of fine-tuning's error removed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from leaderboard.content import Estimate, Interval, Row, SuiteRow, SuiteTable, TaskTable
from leaderboard.ranking import ranking
from leaderboard.statistics.bootstrap import aggregate
from leaderboard.suite_comparisons import against_focus, refusal_over_tasks
from leaderboard.suite_scores import SuiteScores
from leaderboard.summary import suite_cost
from leaderboard.task_tests import GENERATOR_SEED, generator


def suite_table(
    name: str,
    tasks: Sequence[TaskTable],
    rows: Sequence[Row],
    baseline: str | None,
    focus: str | None,
    marks: bool,
    family: str,
) -> SuiteTable:
    """Aggregate and compare over ``tasks``.

    Parameters
    ----------
    tasks: those of the suite, at least one.
    rows: all rows of the board; controls are aggregated, but neither compared nor ranked.
    baseline: label of fine-tuning's row, if the board has it.
    marks: whether the protocol supports significance.
    family: name of the family of comparisons, for the file.
    """
    scores = SuiteScores.of(tasks, rows, baseline)
    methods = [row.label for row in rows if row.control_of is None]
    ranked = ranking([row for row in methods if len(scores.common(row)) == len(tasks)], scores, marks)
    ranks = dict(zip(ranked.rows, ranked.average_ranks, strict=True)) if ranked else {}
    comparisons = against_focus(focus, methods, scores, marks, family)
    return SuiteTable(
        suite=name,
        tasks=[task.task for task in tasks],
        rows=[_row(row.label, scores, ranks.get(row.label)) for row in rows],
        comparisons=comparisons,
        ranking=ranked,
        no_marks=scores.no_scale or refusal_over_tasks(focus, comparisons, marks),
        no_aggregate=scores.no_scale,
        generator_seed=GENERATOR_SEED,
    )


def _row(label: str, scores: SuiteScores, rank: float | None) -> SuiteRow:
    tasks = scores.tasks
    present, missing = scores.common(label), [task.task for task in tasks if not scores.has(label, task)]
    one_metric = len({(task.metric, task.higher_is_better) for task in tasks}) == 1
    row = SuiteRow(
        row=label,
        missing=missing,
        error_removed=[None] * len(tasks),
        iqm=None,
        iqm_over_tasks=None,
        mean_score=fmean(scores.mean(label, task) for task in tasks) if one_metric and not missing else None,
        cost_ratio=suite_cost(scores.costs(label), scores.costs(scores.baseline or "")),
        average_rank=rank,
    )
    if scores.no_scale or scores.baseline is None or not present:
        return row
    pairs = scores.against_baseline(label, present)
    reference = [np.array(baseline.scores) for _, baseline in pairs]
    own = reference if label == scores.baseline else [np.array(one.scores) for one, _ in pairs]
    found = aggregate(
        own,
        reference,
        [task.higher_is_better for task in present],
        generator=generator(),
        paired=[scores.together(task, pair) for task, pair in zip(present, pairs, strict=True)],
    )
    columns = {task.task: column for column, task in enumerate(tasks)}
    for task, value, (low, high) in zip(present, found.error_removed, found.error_removed_intervals, strict=True):
        row.error_removed[columns[task.task]] = Estimate(value=float(value), low=low, high=high)
    if not missing:
        row.iqm = Estimate(value=found.iqm, low=found.iqm_interval[0], high=found.iqm_interval[1])
        row.iqm_over_tasks = Interval(low=found.iqm_interval_over_tasks[0], high=found.iqm_interval_over_tasks[1])
    return row
