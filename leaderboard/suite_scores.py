"""The scores of a suite by row and task, on the scales that comparisons over tasks need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.content import Cost, Entry, Estimate, Row, Summary, TaskTable
from leaderboard.statistics.bootstrap import FEWEST_SEEDS
from leaderboard.statistics.scale import error_removed
from leaderboard.task_tests import Floats, TaskTests, at_seeds, leaves_error


@dataclass(frozen=True)
class SuiteScores:
    """T tasks and the rows that have records on them.

    ``entries`` maps row label -> task -> entry, where there is a record. ``no_scale`` says in one line why there
    is no common scale, or is None.
    """

    tasks: Sequence[TaskTable]
    entries: Mapping[str, Mapping[str, Entry]]
    no_scale: str | None

    @classmethod
    def of(cls, tasks: Sequence[TaskTable], rows: Iterable[Row]) -> SuiteScores:
        """Collect the entries of ``rows`` on ``tasks``."""
        entries: dict[str, dict[str, Entry]] = {row.label: {} for row in rows}
        for task in tasks:
            for entry in task.entries:
                if entry.summary:
                    entries[entry.row][task.task] = entry
        return cls(tasks, entries, _no_scale(tasks, entries))

    def has(self, row: str, task: TaskTable) -> bool:
        """Whether the row has a record on the task."""
        return task.task in self.entries.get(row, {})

    def common(self, first: str, second: str) -> list[TaskTable]:
        """The tasks that two rows can be compared on: both have records, at a common seed where scores are paired."""
        return [
            task
            for task in self.tasks
            if self.has(first, task) and self.has(second, task) and self._used(first, second, task)
        ]

    def seeds(self, row: str, task: TaskTable) -> list[int]:
        """The seeds of the row's scores."""
        summary = self.entries[row][task.task].summary
        assert summary
        return summary.seeds

    def mean(self, row: str, task: TaskTable) -> float:
        """Mean score, metric units."""
        return _mean(self.entries[row][task.task])

    def shared_seeds(self, rows: Sequence[str]) -> dict[str, list[int]]:
        """The seeds that all ``rows``, which have every task, have on each task whose seed draws the split."""
        found = {}
        for task in self.tasks:
            if task.paired and rows:
                found[task.task] = sorted(set.intersection(*(set(self.seeds(row, task)) for row in rows)))
        return found

    def level(self, row: str, task: TaskTable, shared: Mapping[str, Sequence[int]]) -> float | None:
        """Mean score, metric units: over the task's ``shared`` seeds, if there are such; None if the row lacks one."""
        summary, seeds = self.entries[row][task.task].summary, shared.get(task.task)
        assert summary
        if seeds is None:
            return summary.mean
        return at_seeds(summary, seeds).mean if seeds and set(seeds) <= set(summary.seeds) else None

    def costs(self, row: str) -> tuple[list[Cost | None], list[Cost | None]]:
        """What the row, and its baseline, cost on each of the T tasks."""
        labels = [(row, self.baseline(row, task)) for task in self.tasks]
        own, base = (
            [self.entries[pair[k]][task.task].cost if self.has(pair[k], task) else None
             for pair, task in zip(labels, self.tasks, strict=True)]
            for k in (0, 1)
        )  # fmt: skip
        return own, base

    def baseline(self, row: str, task: TaskTable) -> str:
        """The fine-tuning row that the row's cost and error removed are counted from; empty without one."""
        return (self.entries[row][task.task].baseline or "") if self.has(row, task) else ""

    def pairs(self, first: str, second: str, tasks: Sequence[TaskTable]) -> list[tuple[Summary, Summary]]:
        """What a comparison of two rows uses on each of their common ``tasks``: of paired scores the common seeds."""
        found = [self._used(first, second, task) for task in tasks]
        return [pair for pair in found if pair]

    def against_baseline(self, row: str, task: TaskTable) -> tuple[Summary, Summary] | None:
        """:meth:`pairs` of a row and fine-tuning; None where they share no seed, or no error is left at the shared."""
        baseline = self.baseline(row, task)
        pair = self._used(row, baseline, task) if self.has(baseline, task) else None
        return pair if pair and leaves_error(pair[1].mean, task.higher_is_better) else None

    def _used(self, first: str, second: str, task: TaskTable) -> tuple[Summary, Summary] | None:
        one, other = (self.entries[row][task.task].summary for row in (first, second))
        assert one
        assert other
        return TaskTests(task.higher_is_better, task.paired).used(one, other)

    def together(self, task: TaskTable, pair: tuple[Summary, Summary]) -> bool:
        """Whether the scores of one of :meth:`pairs` belong together, place by place."""
        return task.paired and pair[0].seeds == pair[1].seeds

    def differences(self, first: str, second: str, tasks: Sequence[TaskTable]) -> Floats:
        """How much more of fine-tuning's error the mean of the first row removes on each of ``tasks``, (T,)."""
        means = np.array([[one.mean, other.mean] for one, other in self.pairs(first, second, tasks)]).T
        ends = self.removed(means, tasks)
        return np.asarray(ends[0] - ends[1])

    def removed(self, means: Floats, tasks: Sequence[TaskTable] | None = None) -> Floats:
        """The shares of the error of fine-tuning's mean that mean scores (m, T) on ``tasks`` remove, (m, T)."""
        assert self.no_scale is None
        columns = [
            error_removed(column, self.mean(task.baseline or "", task), higher_is_better=task.higher_is_better)
            for column, task in zip(means.T, self.tasks if tasks is None else tasks, strict=True)
        ]
        return np.stack(columns, axis=1)


def allows_interval(pair: tuple[Summary, Summary]) -> bool:
    """Whether both sides of a comparison have seeds enough for a bootstrap interval."""
    return min(pair[0].n, pair[1].n) >= FEWEST_SEEDS


def estimate(value: float, ends: tuple[float, float], shown: bool) -> Estimate:
    """The value, with the ends of its interval if that is to be shown."""
    return Estimate(value=value, low=ends[0], high=ends[1]) if shown else Estimate(value=value)


def _no_scale(tasks: Sequence[TaskTable], entries: Mapping[str, Mapping[str, Entry]]) -> str | None:
    baseline = {
        task.task: entries[task.baseline][task.task]
        for task in tasks
        if task.baseline is not None and task.task in entries.get(task.baseline, {})
    }
    lacking = [task.name for task in tasks if task.task not in baseline]
    if lacking:
        where = "" if len(lacking) == len(tasks) else f" on {', '.join(lacking)}"
        return f"the common scale needs fine-tuning, which has no record{where}"
    perfect = [task.name for task in tasks if not leaves_error(_mean(baseline[task.task]), task.higher_is_better)]
    return f"fine-tuning leaves no error to remove on {', '.join(perfect)}" if perfect else None


def _mean(entry: Entry) -> float:
    assert entry.summary
    return entry.summary.mean
