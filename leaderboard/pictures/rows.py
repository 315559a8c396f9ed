"""Which rows and tasks a picture shows, and in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean

from leaderboard.content import BASELINE, Board, SuiteTable, TaskTable
from leaderboard.tables.words import metric_name


def compared(board: Board) -> list[str]:
    """The rows that are no controls."""
    return [row.label for row in board.rows if row.control_of is None]


def controls(board: Board) -> set[str]:
    """The rows that are."""
    return {row.label for row in board.rows if row.control_of is not None}


def baseline(board: Board) -> str | None:
    """The row of plain fine-tuning; of several, that which is the scale of the most tasks."""
    most = Counter(table.baseline for table in board.tasks if table.baseline).most_common(1)
    return most[0][0] if most else next((row.label for row in board.rows if row.method == BASELINE), None)


def suites(board: Board) -> list[str]:
    """The suites that have tasks on the board, each once."""
    return list(dict.fromkeys(table.suite for table in board.tasks))


def tables(board: Board, suite: str) -> list[TaskTable]:
    """The tasks of a suite."""
    return [table for table in board.tasks if table.suite == suite]


def suite_table(board: Board, suite: str) -> SuiteTable | None:
    """What is said over the tasks of a suite together."""
    return next((table for table in board.suites if table.suite == suite), None)


def by_rank(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    """The rows with a record on one of ``tasks``: best mean rank first, then those that lack a task, then controls."""
    places: dict[str, list[float]] = defaultdict(list)
    for table in tasks:
        scored = [(entry.summary.mean, entry.row) for entry in table.entries if entry.summary]
        scored.sort(key=lambda pair: pair[0], reverse=table.higher_is_better)
        for place, (_, row) in enumerate(scored):
            places[row].append(place / len(scored))
    order = [row for row in board.rows if row.label in places]
    most = max(map(len, places.values()), default=0)
    order.sort(key=lambda row: (row.control_of is not None, len(places[row.label]) < most, fmean(places[row.label])))
    return [row.label for row in order]


def axis_name(table: TaskTable) -> str:
    """The metric, and the direction where larger is not better."""
    return metric_name(table.metric) + ("" if table.higher_is_better else ", lower is better")


def percent(share: float) -> str:
    """A share in per cent, never as minus zero."""
    return f"{round(100 * share, 1) + 0.0:.1f}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 task, 2 tasks."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
