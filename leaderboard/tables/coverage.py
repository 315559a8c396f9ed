"""What was asked for, what is there, and why the rest is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leaderboard.content import Board, Entry, Lacking, Skipped, SuiteTable, task_name
from leaderboard.tables.cells import DAGGER, words
from leaderboard.tables.table import NOTHING, Column, Table, TableCell, TableRow
from leaderboard.tables.words import listed, ranges, slug


def counts(board: Board) -> str:
    """How many cells lack, in one line."""
    missing, failed = (sum(len(item.seeds) for item in items) for items in (board.missing, board.failed))
    if not missing + failed:
        return f"All {board.cells} cells done."
    return f"{missing} of {board.cells} cells missing, {failed} failed."


def unrecorded(suite: SuiteTable) -> list[str]:
    """Which planned tasks every aggregate is without."""
    if not suite.unrecorded:
        return []
    lacking, here = list(map(task_name, suite.unrecorded)), len(suite.tasks)
    has = "has" if len(lacking) == 1 else "have"
    return [f"Over {here} of {here + len(lacking)} planned tasks: {listed(lacking)} {has} no record."]


def coverage_table(board: Board) -> Table:
    """Cells done of those planned, row by task; tasks without any record come last."""
    lacking = Counter[tuple[str, str]]()
    for item in (*board.missing, *board.failed):
        lacking[item.row, item.task] += len(item.seeds)
    known = [task.task for task in board.tasks]
    empty = [task for task in dict.fromkeys(task for _, task in lacking) if task not in known]
    rows = []
    for index, row in enumerate(board.rows):
        cells = [_cell(task.entries[index]) for task in board.tasks]
        cells += [_done(0, lacking[row.label, task]) for task in empty]
        rows.append(TableRow(cells=[words(row.label), *cells]))
    signs = "".join(cell.signs for row in rows for cell in row.cells)
    skipped = any(cell.text == "skipped" for row in rows for cell in row.cells)
    return Table(
        name=slug(board.protocol, "coverage"),
        title=f"Coverage (protocol {board.protocol}): cells done / planned",
        columns=[
            Column(key="method", title="method", align="left"),
            *(Column(key=task, title=task) for task in (*known, *empty)),
        ],
        rows=rows,
        notes=[
            counts(board),
            *([f"{DAGGER}: fewer than planned; missing and failed cells are listed with their reasons."] * bool(signs)),
            *(["Skipped: the method does not fit the task; the reasons are listed."] * skipped),
        ],
    )


def missing_table(board: Board) -> Table | None:
    """Cells that were not run, or still run."""
    return _lacking(board, board.missing, "missing")


def failed_table(board: Board) -> Table | None:
    """Cells that failed, with the reason."""
    return _lacking(board, board.failed, "failed")


def skipped_table(pairs: Sequence[Skipped]) -> Table | None:
    """Pairs that do not fit."""
    if not pairs:
        return None
    return Table(
        name="skipped",
        title="Skipped",
        columns=[Column(key=key, title=key, align="left") for key in ("method", "task", "reason")],
        rows=[TableRow(cells=[words(pair.method), words(pair.task), words(pair.reason)]) for pair in pairs],
        stub=2,
    )


def _lacking(board: Board, items: Sequence[Lacking], kind: str) -> Table | None:
    if not items:
        return None
    keys = ["method", "task", "seeds", *(["reason"] if kind == "failed" else [])]
    return Table(
        name=slug(board.protocol, kind),
        title=f"{kind.capitalize()} cells (protocol {board.protocol})",
        columns=[Column(key=key, title=key, align="left") for key in keys],
        rows=[
            TableRow(
                cells=[words(item.row), words(item.task), words(ranges(item.seeds)), words(item.reason)][: len(keys)]
            )
            for item in items
        ],
        stub=2,
    )


def _cell(entry: Entry) -> TableCell:
    if entry.skipped and not entry.planned:
        return words("skipped")
    return _done(entry.summary.n if entry.summary else 0, entry.planned)


def _done(done: int, planned: int) -> TableCell:
    if not planned:
        return TableCell(text=NOTHING)
    numbers = {"done": float(done), "planned": float(planned)}
    return TableCell(text=f"{done}/{planned}", numbers=numbers, signs=DAGGER * (done < planned))
