"""The scores of a suite by row and task, on the scales that comparisons over tasks need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.content import Cost, Entry, Row, Summary, TaskTable
from leaderboard.statistics.scale import error_removed
from leaderboard.task_tests import Floats, TaskTests, leaves_error


@dataclass(frozen=True)
class SuiteScores:
    """T tasks and the rows that have records on them.

    ``entries`` maps row label -> task -> entry, where there is a record. ``baseline`` is the label of
    fine-tuning's row, and ``no_scale`` says in one line why there is no common scale, or is None.
    """

    tasks: Sequence[TaskTable]
    entries: Mapping[str, Mapping[str, Entry]]
    baseline: str | None
    no_scale: str | None

    @classmethod
    def of(cls, tasks: Sequence[TaskTable], rows: Iterable[Row], baseline: str | None) -> SuiteScores:
        """Collect the entries of ``rows`` on ``tasks``."""
        entries: dict[str, dict[str, Entry]] = {row.label: {} for row in rows}
        for task in tasks:
            for entry in task.entries:
                if entry.summary:
                    entries[entry.row][task.task] = entry
        return cls(tasks, entries, baseline, _no_scale(tasks, entries.get(baseline or "", {})))

    def has(self, row: str, task: TaskTable) -> bool:
        """Whether the row has a record on the task."""
        return task.task in self.entries.get(row, {})

    def common(self, *rows: str) -> list[TaskTable]:
        """The tasks on which all ``rows`` have records."""
        return [task for task in self.tasks if all(self.has(row, task) for row in rows)]

    def mean(self, row: str, task: TaskTable) -> float:
        """Mean score, metric units."""
        return _mean(self.entries[row][task.task])

    def turned(self, row: str, task: TaskTable) -> Floats:
        """Scores of the seeds, (n,), turned so that larger is better."""
        summary = self.entries[row][task.task].summary
        assert summary
        return np.asarray(summary.scores, dtype=np.float64) * (1.0 if task.higher_is_better else -1.0)

    def costs(self, row: str) -> list[Cost | None]:
        """What the row costs on each of the T tasks."""
        return [self.entries[row][task.task].cost if self.has(row, task) else None for task in self.tasks]

    def pairs(self, first: str, second: str, tasks: Sequence[TaskTable]) -> list[tuple[Summary, Summary]]:
        """What a comparison of two rows uses on each of ``tasks``: paired scores count at common seeds alone."""
        found = []
        for task in tasks:
            one, other = (self.entries[row][task.task].summary for row in (first, second))
            assert one
            assert other
            found.append(TaskTests(task.higher_is_better, task.paired).used(one, other))
        return found

    def against_baseline(self, row: str, tasks: Sequence[TaskTable]) -> list[tuple[Summary, Summary]]:
        """:meth:`pairs` of a row and fine-tuning, all seeds where fine-tuning leaves no error at the common ones."""
        assert self.baseline
        found = self.pairs(row, self.baseline, tasks)
        for place, task in enumerate(tasks):
            if not leaves_error(found[place][1].mean, task.higher_is_better):
                one, other = (self.entries[label][task.task].summary for label in (row, self.baseline))
                assert one
                assert other
                found[place] = one, other
        return found

    def together(self, task: TaskTable, pair: tuple[Summary, Summary]) -> bool:
        """Whether the scores of one of :meth:`pairs` belong together, place by place."""
        return task.paired and pair[0].seeds == pair[1].seeds

    def differences(self, first: str, second: str, tasks: Sequence[TaskTable]) -> Floats:
        """How much more of fine-tuning's error the mean of the first row removes on each of ``tasks``, (T,)."""
        assert self.baseline
        assert self.no_scale is None
        found = []
        for task, (one, other) in zip(tasks, self.pairs(first, second, tasks), strict=True):
            level = self.mean(self.baseline, task)
            ends = error_removed([one.mean, other.mean], level, higher_is_better=task.higher_is_better)
            found.append(ends[0] - ends[1])
        return np.array(found)


def _no_scale(tasks: Sequence[TaskTable], baseline: Mapping[str, Entry]) -> str | None:
    lacking = [task.name for task in tasks if task.task not in baseline]
    if lacking:
        where = "" if len(lacking) == len(tasks) else f" on {', '.join(lacking)}"
        return f"the common scale needs fine-tuning, which has no record{where}"
    perfect = [task.name for task in tasks if not leaves_error(_mean(baseline[task.task]), task.higher_is_better)]
    return f"fine-tuning leaves no error to remove on {', '.join(perfect)}" if perfect else None


def _mean(entry: Entry) -> float:
    assert entry.summary
    return entry.summary.mean
