"""What is said over the tasks of one suite together, on one scale: the share of fine-tuning's error removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from leaderboard.content import Interval, Row, SuiteRow, SuiteTable, TaskTable
from leaderboard.ranking import ranking
from leaderboard.statistics.bootstrap import aggregate
from leaderboard.suite_comparisons import against_focus, refusal_over_tasks
from leaderboard.suite_scores import SuiteScores, allows_interval, estimate
from leaderboard.summary import suite_cost
from leaderboard.task_tests import GENERATOR_SEED, generator


def suite_table(
    name: str,
    tasks: Sequence[TaskTable],
    rows: Sequence[Row],
    focus: str | None,
    marks: bool,
    family: str,
) -> SuiteTable:
    """Aggregate and compare over ``tasks``.

    Parameters
    ----------
    tasks: those of the suite, at least one.
    rows: all rows of the board; controls are aggregated, but neither compared nor ranked.
    marks: whether the protocol supports significance.
    family: name of the family of comparisons, for the file.
    """
    scores = SuiteScores.of(tasks, rows)
    methods = [row.label for row in rows if row.control_of is None]
    whole = [row for row in methods if all(scores.has(row, task) for task in tasks)]
    shared = scores.shared_seeds(whole)
    ranked = ranking(whole, scores, shared, marks)
    ranks = dict(zip(ranked.rows, ranked.average_ranks, strict=True)) if ranked else {}
    comparisons = against_focus(focus, methods, scores, marks, family)
    return SuiteTable(
        suite=name,
        tasks=[task.task for task in tasks],
        rows=[_row(row.label, scores, shared, ranks.get(row.label)) for row in rows],
        comparisons=comparisons,
        ranking=ranked,
        shared_seeds={
            task.task: shared[task.task]
            for task in tasks
            if any(len(scores.seeds(row, task)) > len(shared.get(task.task, [])) for row in whole) and task.paired
        },
        no_marks=scores.no_scale or refusal_over_tasks(focus, comparisons, marks),
        no_aggregate=scores.no_scale,
        generator_seed=GENERATOR_SEED,
    )


def _row(label: str, scores: SuiteScores, shared: Mapping[str, Sequence[int]], rank: float | None) -> SuiteRow:
    tasks = scores.tasks
    present = [task for task in tasks if scores.has(label, task)]
    missing = [task.task for task in tasks if task not in present]
    one_metric = len({(task.metric, task.higher_is_better) for task in tasks}) == 1
    row = SuiteRow(
        row=label,
        missing=missing,
        unshared=[],
        error_removed=[None] * len(tasks),
        iqm=None,
        iqm_over_tasks=None,
        mean_score=_mean([scores.level(label, task, shared) for task in present])
        if one_metric and not missing
        else None,
        cost_ratio=suite_cost(*scores.costs(label)),
        average_rank=rank,
    )
    if scores.no_scale:
        return row
    pairs = {task.task: scores.against_baseline(label, task) for task in present}
    row.unshared = [task for task, pair in pairs.items() if pair is None]
    used = [(task, pair) for task in present if (pair := pairs[task.task])]
    if not used:
        return row
    reference = [np.array(baseline.scores) for _, (_, baseline) in used]
    plain = all(scores.baseline(label, task) == label for task, _ in used)
    own = reference if plain else [np.array(one.scores) for _, (one, _) in used]
    found = aggregate(
        own,
        reference,
        [task.higher_is_better for task, _ in used],
        generator=generator(),
        paired=[scores.together(task, pair) for task, pair in used],
    )
    columns = {task.task: column for column, task in enumerate(tasks)}
    enough = [allows_interval(pair) for _, pair in used]
    estimates = zip(used, found.error_removed, found.error_removed_intervals, enough, strict=True)
    for (task, _), value, ends, shown in estimates:
        row.error_removed[columns[task.task]] = estimate(float(value), ends, shown)
    if len(used) == len(tasks):
        row.iqm = estimate(found.iqm, found.iqm_interval, all(enough))
        if all(enough):
            row.iqm_over_tasks = Interval(low=found.iqm_interval_over_tasks[0], high=found.iqm_interval_over_tasks[1])
    return row


def _mean(levels: Sequence[float | None]) -> float | None:
    known = [level for level in levels if level is not None]
    return fmean(known) if len(known) == len(levels) else None
