"""Markdown that reads well as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from leaderboard.content import Report
from leaderboard.tables.layout import blocks, new_notes
from leaderboard.tables.outline import sections
from leaderboard.tables.table import Column, Section, Table, TableCell
from leaderboard.tables.words import one_line

WIDTH = 200  # of a line of a table, where its columns allow it
SHOWN = 6  # pictures; more are linked


def render(report: Report) -> str:
    """Return the whole report as Markdown text, the content of leaderboard.md."""
    found = sections(report)
    notes = new_notes(found)
    return "\n\n".join(block for section in found for block in _section(section, notes)) + "\n"


def table(content: Table) -> str:
    """One table, whose columns line up."""
    from tabulate import tabulate

    lines: list[list[str]] = []
    part = None
    for row in content.rows:
        if row.section and row.section != part:
            lines.append([f"*{escaped(row.section)}*", *[""] * (len(content.columns) - 1)])
        part = row.section
        lines.append([_cell(cell) for cell in row.cells])
    head = [escaped(column.heading) for column in content.columns]
    sides = [column.align for column in content.columns]
    return tabulate(lines, head, tablefmt="pipe", disable_numparse=True, colalign=sides if lines else None)


def escaped(text: str) -> str:
    """One line in which no character ends a table cell, opens a tag, or is taken for markup."""
    safe = re.sub(r"([\\`*|~$])", r"\\\1", one_line(text))
    safe = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", safe)
    safe = re.sub(r"&(?=#?\w+;)", r"\\&", safe)
    safe = re.sub(r"\](?=[(\[:])", r"\\]", safe)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", safe)


def line(text: str) -> str:
    """Text that starts a line: nothing in it starts a list or a heading either."""
    return re.sub(r"^([-+>#=]|\d+(?=[.)](\s|$)))", _guarded, escaped(text))


def _guarded(start: re.Match[str]) -> str:
    return f"{start[0]}\\" if start[0].isdigit() else f"\\{start[0]}"


def bullets(lines: Iterable[str]) -> str:
    """A list with one item per line."""
    return "\n".join(f"- {line(text)}" for text in lines)


def _section(section: Section, notes: Mapping[str, Sequence[str]]) -> list[str]:
    found = [f"{'#' * section.level} {line(section.title)}", *map(line, section.lines)]
    if section.items:
        found.append(bullets(section.items))
    if section.aside:
        found.append(f"In files of their own: {', '.join(f'tables/{one.name}.csv' for one in section.tables)}.")
        found += [bullets(notes[one.name]) for one in section.tables if notes[one.name]]
    else:
        found += _tables(section.tables, notes)
    if len(section.pictures) > SHOWN:
        return [*found, "\n".join(f"- [{_bracketed(one.title)}]({quote(one.file)}.png)" for one in section.pictures)]
    return found + [f"![{_bracketed(one.description)}]({quote(one.file)}.png)" for one in section.pictures]


def _tables(tables: Sequence[Table], notes: Mapping[str, Sequence[str]]) -> list[str]:
    found = []
    for one in tables:
        if len(tables) > 1:
            found.append(f"**{escaped(one.title)}**")
        found += [table(part) for part in blocks(one, WIDTH, _width)]
        if notes[one.name]:
            found.append(bullets(notes[one.name]))
    return found


def _width(column: Column, cells: Sequence[TableCell]) -> int:
    return max(map(len, [escaped(column.heading), *map(_cell, cells)])) + 3


def _cell(cell: TableCell) -> str:
    text = escaped(cell.text)
    return (f"**{text}**" if cell.strong and text else text) + _rest(cell.rest)


def _rest(rest: str) -> str:
    """What stands behind a text, with the space before it."""
    return (" " if rest.startswith(" ") else "") + escaped(rest)


def _bracketed(text: str) -> str:
    return re.sub(r"(?<!\\)([\[\]])", r"\\\1", escaped(text))
