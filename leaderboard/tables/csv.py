"""Comma-separated values with full floats: a column for each number of a cell."""

from __future__ import annotations

import csv
from io import StringIO

from leaderboard.tables.table import NOTHING, Table, TableCell
from leaderboard.tables.words import one_line, written

FORMULA = ("=", "+", "-", "@")


def table(content: Table) -> str:
    """One header row, then the rows.

    A column whose cells have numbers becomes one column for each of them, and one of remarks if there are any:
    the signs, the marks, "bold", and what stands where a number does not. A text that a spreadsheet would take
    for a formula gets an apostrophe in front.
    """
    head: list[str] = []
    lines: list[list[str]] = [[] for _ in content.rows]
    if any(row.section for row in content.rows):
        head.append("section")
        for line, row in zip(lines, content.rows, strict=True):
            line.append(_text(row.section or ""))
    for place, column in enumerate(content.columns):
        cells = [row.cells[place] for row in content.rows]
        names = dict.fromkeys(name for cell in cells for name in cell.numbers)
        head += [_text(f"{column.key} {name}".strip()) for name in names] or [_text(column.key)]
        for line, cell in zip(lines, cells, strict=True):
            line += [written(cell.numbers[name]) if name in cell.numbers else "" for name in names] or [
                _text(cell.text)
            ]
        remarks = [_remarks(cell, bool(names)) for cell in cells]
        if any(remarks):
            head.append(_text(f"{column.key} remarks"))
            for line, remark in zip(lines, remarks, strict=True):
                line.append(_text(remark))
    file = StringIO()
    csv.writer(file, lineterminator="\n").writerows([head, *lines])
    return file.getvalue()


def _remarks(cell: TableCell, numeric: bool) -> str:
    instead = cell.text if numeric and not cell.numbers and cell.text != NOTHING else ""
    words = [instead, "bold" * cell.strong, cell.mark or "", cell.signs]
    return " ".join(word for word in words if word)


def _text(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(FORMULA) else line
