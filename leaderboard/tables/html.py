"""A table as HTML: semantic, with classes and without styles or scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby

from leaderboard.tables.table import MARKS, Column, Table, TableCell, TableRow
from leaderboard.tables.words import one_line, written


def table(content: Table) -> str:
    """A figure that holds the table, its title as the caption, and the notes.

    Classes: ``numbers`` (a right-aligned cell), ``faint`` (a row of a paper), ``section`` (the heading of a group
    of rows), ``better`` and ``worse`` (marks), ``unit``, ``notes``. ``data-sort`` holds a cell's number.
    """
    head = "".join(_heading(column) for column in content.columns)
    bodies = "".join(_body(part, list(rows), content) for part, rows in groupby(content.rows, lambda row: row.section))
    notes = "".join(f"<li>{_text(note)}</li>" for note in content.notes)
    return (
        f'<figure class="table" id="{escape(content.name)}">\n'
        f"<table>\n<caption>{_text(content.title)}</caption>\n<thead><tr>{head}</tr></thead>\n{bodies}</table>\n"
        + (f'<figcaption><ul class="notes">{notes}</ul></figcaption>\n' if notes else "")
        + "</figure>\n"
    )


def _heading(column: Column) -> str:
    unit = f' <span class="unit">{_text(column.unit)}</span>' if column.unit else ""
    return f'<th scope="col"{_side(column)}>{_text(column.title)}{unit}</th>'


def _body(part: str | None, rows: list[TableRow], content: Table) -> str:
    title = ""
    if part:
        span = len(content.columns)
        title = f'<tr class="section"><th scope="rowgroup" colspan="{span}">{_text(part)}</th></tr>\n'
    return f"<tbody>\n{title}{''.join(_row(row, content) for row in rows)}</tbody>\n"


def _row(row: TableRow, content: Table) -> str:
    start = '<tr class="faint">' if row.faint else "<tr>"
    return f"{start}{''.join(_cells(row, content))}</tr>\n"


def _cells(row: TableRow, content: Table) -> Iterator[str]:
    for place, (column, cell) in enumerate(zip(content.columns, row.cells, strict=True)):
        sort = "" if cell.sort_by is None else f' data-sort="{written(cell.sort_by)}"'
        tag, scope = ("th", ' scope="row"') if place < content.stub else ("td", "")
        yield f"<{tag}{scope}{_side(column)}{sort}>{_inner(cell)}</{tag}>"


def _inner(cell: TableCell) -> str:
    text = f"<strong>{_text(cell.text)}</strong>" if cell.strong and cell.text else _text(cell.text)
    behind = (f" {_text(cell.after)}" if cell.after else "") + _text(cell.signs)
    if not cell.mark:
        return text + behind
    return f'{text}{behind} <span class="{cell.mark}" role="img" aria-label="{cell.mark}">{MARKS[cell.mark]}</span>'


def _side(column: Column) -> str:
    return ' class="numbers"' if column.align == "right" else ""


def _text(text: str) -> str:
    return escape(one_line(text))
