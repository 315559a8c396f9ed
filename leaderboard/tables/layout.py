"""How tables stand on a page of lines: wide ones in blocks of columns, and no sentence twice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from leaderboard.tables.table import Column, Section, Table, TableCell


def blocks(table: Table, width: int, needed: Callable[[Column, Sequence[TableCell]], int]) -> list[Table]:
    """Split ``table`` into the fewest tables no wider than ``width``; each repeats the columns that name the row.

    A column that is wider than ``width`` by itself makes its table too wide. The widths of the blocks are as equal
    as the columns allow.

    Parameters
    ----------
    needed: the width that a column and its cells take, with the space between columns.
    """
    widths = [needed(column, [row.cells[k] for row in table.rows]) for k, column in enumerate(table.columns)]
    stub, others = list(range(table.stub)), widths[table.stub :]
    room = max(1, width - sum(widths[: table.stub]))
    fewest = len(_groups(others, room))
    if fewest <= 1:
        return [table]
    narrowest = bisect_left(range(1, room), True, key=lambda less: len(_groups(others, less)) <= fewest) + 1
    return [table.part([*stub, *(k + table.stub for k in group)]) for group in _groups(others, narrowest)]


def new_notes(sections: Sequence[Section]) -> dict[str, list[str]]:
    """The notes to print below each table, by its name: without those that stand above it in the same suite.

    Of tables that stand in files of their own, those of a table that is alone in its section: verdicts are read
    without the numbers too.
    """
    found: dict[str, list[str]] = {}
    lines = {line for section in sections for line in section.lines}
    said = set(lines)
    for section in sections:
        if section.level <= 3:
            said = set(lines)
        for table in section.tables:
            printed = not section.aside or len(section.tables) == 1
            found[table.name] = [note for note in table.notes if printed and note not in said]
            said |= set(found[table.name])
    return found


def _groups(widths: Sequence[int], room: int) -> list[list[int]]:
    """Put columns into groups in their order, a new one where the next column does not fit."""
    found: list[list[int]] = []
    left = 0
    for k, width in enumerate(widths):
        if not found or width > left:
            found.append([])
            left = room
        found[-1].append(k)
        left -= width
    return found
