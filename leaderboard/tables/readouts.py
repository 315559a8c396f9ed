"""The read-outs that are not primary."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.content import Board, TaskTable
from leaderboard.tables.captions import shown_as
from leaderboard.tables.cells import mean, words
from leaderboard.tables.suite import task_column
from leaderboard.tables.table import Column, Table, TableRow
from leaderboard.tables.words import decimals, slug


def readouts_table(board: Board, tasks: Sequence[TaskTable]) -> Table | None:
    """One row per method and read-out; None without any. ``tasks`` are those of one suite."""
    rows = []
    for index, row in enumerate(board.rows):
        entries = [task.entries[index] for task in tasks]
        for name in dict.fromkeys(name for entry in entries for name in entry.readouts):
            cells = [mean(entry.readouts.get(name), decimals(task)) for task, entry in zip(tasks, entries, strict=True)]
            section = "controls" if row.control_of else None
            rows.append(TableRow(cells=[words(row.label), words(name), *cells], section=section))
    if not rows:
        return None
    summaries = [summary for task in tasks for entry in task.entries for summary in entry.readouts.values()]
    suite = tasks[0].suite
    return Table(
        name=slug(board.protocol, suite, "read-outs"),
        title=f"Other read-outs on {suite} (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            Column(key="read-out", title="read-out", align="left"),
            *map(task_column, tasks),
        ],
        rows=rows,
        notes=[
            f"Test scores of the same cells, read out another way: {shown_as(summaries)}.",
            "They stand outside every test.",
        ],
        stub=2,
    )
