"""One suite: methods by tasks, as a paper prints its results; and the common scale in full."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.content import BASELINE, Board, Row, SuiteRow, SuiteTable, TaskTable, task_name
from leaderboard.tables.baselines import own_baselines
from leaderboard.tables.captions import caption, origin
from leaderboard.tables.cells import estimate, interval, number, score, words
from leaderboard.tables.cost import over_all
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.intervals import bootstrap_notes
from leaderboard.tables.reference import references
from leaderboard.tables.table import Column, Table, TableCell, TableRow
from leaderboard.tables.words import decimals, listed, ranges, slug, unit

SCALE = (
    "Error removed: the share of fine-tuning's error that a method removes, (s - f) / (1 - f) for scores s and "
    "1 - s / f for errors, where f is fine-tuning's mean"
)


def suite_table(board: Board, tasks: Sequence[TaskTable], suite: SuiteTable | None) -> Table:
    """Every score of ``tasks``, which are those of one suite, with what sums a row up."""
    summed = {row.row: row for row in suite.rows} if suite else {}
    digits = max(map(decimals, tasks))
    extra = _summary_columns(tasks, list(summed.values()))
    if any(row.cost_ratio is not None for row in summed.values()):
        extra.append(Column(key="cost", title="cost", unit="×"))
    published, notes = references(board, tasks)
    rows = [
        TableRow(
            cells=[
                words(row_name(row, board.focus)),
                *(score(task.entries[index], decimals(task)) for task in tasks),
                *(
                    over_all(summed.get(row.label))
                    if column.key == "cost"
                    else _summary(column.key, summed.get(row.label), digits)
                    for column in extra
                ),
            ],
            section="controls" if row.control_of else None,
        )
        for index, row in enumerate(board.rows)
    ]
    rows += [
        reference.row(tasks, [reference.average if column.key == "average" else words(None) for column in extra])
        for reference in published
    ]
    return Table(
        name=slug(board.protocol, tasks[0].suite),
        title=f"{tasks[0].suite} (protocol {board.protocol})",
        columns=[Column(key="method", title="method", align="left"), *map(task_column, tasks), *extra],
        rows=rows,
        notes=[
            *caption(board, tasks),
            *_summary_notes(suite, extra, tasks),
            *(own_baselines(board, tasks) if extra else []),
            *notes,
            *origin(board),
        ],
    )


def error_removed_table(board: Board, suite: SuiteTable) -> Table | None:
    """The share of fine-tuning's error that each row removes on each task; None where there is none."""
    if not any(value for row in suite.rows for value in row.error_removed):
        return None
    names = [task_name(task) for task in suite.tasks]
    return Table(
        name=slug(board.protocol, suite.suite, "error-removed"),
        title=f"Error removed on {suite.suite} (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            *(Column(key=name, title=name) for name in names),
            Column(key="IQM", title="IQM"),
            Column(key="IQM over tasks", title="IQM", unit="over tasks too"),
        ],
        rows=[
            TableRow(
                cells=[
                    words(row.row),
                    *(estimate(value, "+z.3f") for value in row.error_removed),
                    estimate(row.iqm, "+z.3f"),
                    interval(row.iqm_over_tasks, "+z.3f"),
                ],
            )
            for row in suite.rows
        ],
        notes=[
            f"{SCALE}. In brackets: 95 % bootstrap intervals over seeds, fine-tuning's seeds included "
            f"(generator seed {suite.generator_seed}).",
            "IQM: interquartile mean over seeds and tasks; its interval over seeds within tasks, in the last column "
            "over seeds and tasks.",
            *unrecorded(suite),
            *bootstrap_notes([task for task in board.tasks if task.suite == suite.suite]),
            *own_baselines(board, [task for task in board.tasks if task.suite == suite.suite]),
            *_missing(suite),
        ],
    )


def row_name(row: Row, focus: str | None) -> str:
    """The row's label and its role."""
    return row.label + (f" (control of {row.control_of})" if row.control_of else " (focus)" * (row.label == focus))


def task_column(task: TaskTable) -> Column:
    """A column of scores."""
    return Column(key=task.name, title=task.name, unit=unit(task))


def _summary_columns(tasks: Sequence[TaskTable], rows: Sequence[SuiteRow]) -> list[Column]:
    found = []
    if any(row.mean_score is not None for row in rows):
        found.append(Column(key="average", title="average", unit=unit(tasks[0])))
    if any(row.iqm for row in rows):
        found.append(Column(key="error removed", title="error removed", unit="IQM ↑"))
    if any(row.average_rank is not None for row in rows):
        found.append(Column(key="rank", title="rank", unit="↓"))
    return found


def _summary(key: str, row: SuiteRow | None, digits: int) -> TableCell:
    if row is None:
        return words(None)
    if key == "average":
        return number(row.mean_score, f".{digits}f")
    return estimate(row.iqm, "+z.3f") if key == "error removed" else number(row.average_rank, ".2f")


def _summary_notes(suite: SuiteTable | None, columns: Sequence[Column], tasks: Sequence[TaskTable]) -> list[str]:
    seed = suite.generator_seed if suite else None
    said = {
        "average": "Average: of the means of the tasks.",
        "error removed": f"{SCALE}; interquartile mean (IQM) over seeds and tasks, in brackets its 95 % bootstrap "
        f"interval over seeds (generator seed {seed}).",
        "rank": "Rank: average over the tasks; 1 is best.",
        "cost": f"Cost: wall seconds of all tasks over those of {BASELINE}; shared stages that it lacks count once.",
    }
    lines = [said[column.key] for column in columns] + ([*unrecorded(suite), *shared_seeds(suite)] if suite else [])
    if any(column.key == "error removed" for column in columns):
        lines += bootstrap_notes(tasks)
    if suite and suite.no_aggregate:
        lines.append(f"No error removed over the tasks: {suite.no_aggregate}.")
    return lines + (_missing(suite) if suite and suite.no_aggregate is None else [])


def shared_seeds(suite: SuiteTable) -> list[str]:
    """Which seeds ranks and averages rest on where the seed draws the split and the rows have different ones."""
    alike: dict[str, list[str]] = {}
    for task, seeds in suite.shared_seeds.items():
        alike.setdefault(ranges(seeds), []).append(task_name(task))
    lines = []
    for counted, tasks in alike.items():
        where = f"on {listed(tasks)} the seed draws the split"
        if counted:
            lines.append(
                f"Rank and average: {where}, so only the seeds that all ranked methods have count ({counted})."
            )
        else:
            lines.append(f"No rank and no average over the tasks: {where}, and the methods have no seed in common.")
    return lines


def _missing(suite: SuiteTable) -> list[str]:
    """The rows without an aggregate, those that lack the same tasks together."""
    lacking: dict[str, list[str]] = {}
    for row in suite.rows:
        reasons = []
        if row.missing:
            reasons.append(f"no record on {listed(list(map(task_name, row.missing)))}")
        if row.unshared:
            reasons.append(
                f"on {listed(list(map(task_name, row.unshared)))} the seed draws the split and none is shared with "
                "fine-tuning, or fine-tuning leaves no error there"
            )
        if reasons:
            lacking.setdefault("; ".join(reasons), []).append(row.row)
    return [f"No aggregate for {listed(rows)}: {reasons}." for reasons, rows in lacking.items()]
