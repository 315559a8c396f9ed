"""Numbers of papers: rows below ours, and their own tables. They take part in no test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from statistics import fmean

from leaderboard.content import Board, Interval, PublishedRow, PublishedScore, PublishedTable, TaskTable, task_name
from leaderboard.tables.cells import interval, number
from leaderboard.tables.table import NOTHING, Column, Table, TableCell, TableRow
from leaderboard.tables.words import metric_name, slug

OTHER_METRIC = "‡"


@dataclass
class Reference:
    """A row of a paper beside ours: its scores by task in the units of our metrics, and its average over the tasks."""

    name: str
    sources: list[int]
    scores: dict[str, TableCell]
    average: TableCell

    def row(self, tasks: Sequence[TaskTable], more: Sequence[TableCell] = ()) -> TableRow:
        """The name with its sources, a cell for each task, and ``more``."""
        label = f"{self.name} [{', '.join(map(str, self.sources))}]"
        cells = [self.scores.get(task.task, TableCell(text=NOTHING)) for task in tasks]
        return TableRow(cells=[TableCell(text=label), *cells, *more], faint=True, section="published")


def references(board: Board, tasks: Sequence[TaskTable]) -> tuple[list[Reference], list[str]]:
    """The published rows that have a score on one of ``tasks``, and the sentences about them.

    Tables of one paper that have a method on different tasks share a row. The average is the paper's where the
    paper averages over just these tasks.
    """
    found: dict[tuple[str, str], list[Reference]] = {}
    sources: list[str] = []
    for table in board.published:
        rows = [(row, _reference(row, len(sources) + 1, table, tasks)) for row in table.rows]
        rows = [(row, one) for row, one in rows if one.scores]
        if rows:
            sources.append(f"[{len(sources) + 1}] {table.paper}, {table.source}; {_runs(table)}")
        for row, one in rows:
            alike = found.setdefault((table.paper, row.method or row.name), [])
            other = next((other for other in alike if not other.scores.keys() & one.scores.keys()), None)
            if other:
                other.sources += one.sources
                other.scores |= one.scores
            else:
                alike.append(one)
    if not sources:
        return [], []
    kept = [one for alike in found.values() for one in alike]
    notes = [f"Published numbers, outside every test and not made under our protocol: {'; '.join(sources)}."]
    if any(cell.signs for one in kept for cell in one.scores.values()):
        notes.append(f"{OTHER_METRIC}: the paper has another metric than this column.")
    return kept, notes


def cost_references(board: Board, tasks: Sequence[TaskTable]) -> tuple[list[TableRow], list[str]]:
    """What papers say about cost: a range each, in the column behind those of ``tasks``; and the sentence about it."""
    rows: list[TableRow] = []
    sources: dict[str, int] = {}
    for cost in board.published_costs:
        source = f"{cost.paper}, {cost.source}: {cost.note.rstrip('.')}"
        place = sources.setdefault(source, len(sources) + 1)
        ends = interval(Interval(low=cost.low, high=cost.high), ".2f")
        dashes = [TableCell(text=NOTHING) for _ in tasks]
        cells = [TableCell(text=f"{cost.name} [{place}]"), *dashes, ends]
        rows.append(TableRow(cells=cells, faint=True, section="published"))
    if not rows:
        return [], []
    return rows, [f"Published ranges: {'; '.join(f'[{place}] {source}' for source, place in sources.items())}."]


def published_tables(board: Board) -> list[Table]:
    """Every paper's table that shares a task with the board, as printed there."""
    return [_table(board, table) for table in board.published]


def _reference(row: PublishedRow, source: int, table: PublishedTable, tasks: Sequence[TaskTable]) -> Reference:
    own = {score.task: score for score in row.scores}
    average = TableCell(text=NOTHING)
    if row.average is not None and _averages_over(row, tasks):
        shown = _shown(row.average, None, table.units, _average_places(table))
        average = TableCell(text=shown.text, numbers={"": shown.numbers["mean"]})
    scores = {task.task: _converted(own[task.task], table, task) for task in tasks if task.task in own}
    return Reference(row.name, [source], scores, average)


def _averages_over(row: PublishedRow, tasks: Sequence[TaskTable]) -> bool:
    """Whether the paper's average is over just these tasks: the row may lack scores that the paper has."""
    values = {score.task: score.value for score in row.scores}
    same = values.keys() == {task.task for task in tasks}
    return same and row.recomputed_average is not None and isclose(fmean(values.values()), row.recomputed_average)


def _converted(score: PublishedScore, table: PublishedTable, task: TaskTable) -> TableCell:
    cell = _shown(score.value, score.sd, table.units, _places(table, task.task))
    if table.n is not None:
        cell.after, cell.numbers["n"] = f"({table.n})", table.n
    cell.signs = OTHER_METRIC * (_words(score.metric) != _words(metric_name(task.metric)))
    return cell


def _shown(value: float, sd: float | None, units: str, places: int) -> TableCell:
    """A number in metric units with as many digits as the paper prints, which has ``places`` in ``units``."""
    scale, more = (100, 2) if units == "percent" else (1, 0)
    numbers = {"mean": value / scale} | ({} if sd is None else {"sd": sd / scale})
    text = " ± ".join(f"{value:.{places + more}f}" for value in numbers.values())
    return TableCell(text=text, numbers=numbers)


def _places(table: PublishedTable, task: str) -> int:
    """Digits behind the point: the most that the paper's column has, since 71.0 is stored as 71."""
    scores = [score for row in table.rows for score in row.scores if score.task == task]
    return max(map(_digits, [value for score in scores for value in (score.value, score.sd) if value is not None]))


def _average_places(table: PublishedTable) -> int:
    return max(_digits(row.average) for row in table.rows if row.average is not None)


def _digits(value: float) -> int:
    return len(repr(value).partition(".")[2].rstrip("0"))


def _words(metric: str) -> list[str]:
    return sorted(re.findall(r"[a-z0-9]+", metric.lower().replace("_", " ")))


def _runs(table: PublishedTable) -> str:
    runs = "number of runs not given" if table.n is None else f"n = {table.n}"
    return f"{runs}; ±: {table.spread}" if any(s.sd is not None for row in table.rows for s in row.scores) else runs


def _table(board: Board, table: PublishedTable) -> Table:
    tasks = {score.task: None for row in table.rows for score in row.scores}
    metrics = {task: {s.metric: None for row in table.rows for s in row.scores if s.task == task} for task in tasks}
    averages = any(row.average is not None for row in table.rows)
    columns = [
        Column(key="method", title="method", align="left"),
        Column(key="registered as", title="here", align="left"),
        *(Column(key=name, title=name, unit=" or ".join(metrics[task])) for task, name in _names(list(tasks)).items()),
        *(Column(key=key, title=key) for key in ("average", "recomputed") if averages),
    ]
    return Table(
        name=slug(board.protocol, "published", table.suite, table.source),
        title=f"{table.paper}, {table.source}",
        columns=columns,
        rows=[
            TableRow(
                cells=[
                    TableCell(text=row.name),
                    TableCell(text=row.method or NOTHING),
                    *(_printed(table, row, task) for task in tasks),
                    *(_averages(table, row) if averages else []),
                ],
                faint=True,
            )
            for row in table.rows
        ],
        notes=[
            f"As printed, in {'percent' if table.units == 'percent' else 'the units of the metric'}; {_runs(table)}.",
            *(["Average and recomputed: over all tasks of the paper's table, shown here or not."] if averages else []),
            *(f"Differs from ours: {difference}" for difference in table.differences),
            *(f"The table contradicts a claim: {flag.rstrip('.')}." for flag in table.flags),
        ],
    )


def _names(tasks: Sequence[str]) -> dict[str, str]:
    return {task: task_name(task) for task in tasks}


def _printed(table: PublishedTable, row: PublishedRow, task: str) -> TableCell:
    score = next((score for score in row.scores if score.task == task), None)
    if score is None:
        return TableCell(text=NOTHING)
    return _shown(score.value, score.sd, "as printed", _places(table, task))


def _averages(table: PublishedTable, row: PublishedRow) -> list[TableCell]:
    printed = number(row.average, f".{_average_places(table)}f")
    return [printed, number(row.recomputed_average, ".2f")]
