"""The report on a terminal: colours only there, and no line wider than it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from leaderboard.content import Report
from leaderboard.tables.layout import blocks, new_notes
from leaderboard.tables.outline import sections
from leaderboard.tables.table import MARKS, Column, Mark, Section, Table, TableCell
from leaderboard.tables.words import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

COLOURS: dict[Mark, str] = {"better": "green", "worse": "red"}


def show(report: Report, console: Console | None = None) -> None:
    """Print the whole report; by default on standard output, whose width and colours ``rich`` finds out."""
    from rich.console import Console

    console = console or Console(highlight=False)
    found = sections(report)
    notes = new_notes(found)
    for section in found:
        for part in _section(section, notes, console):
            console.print(part)


def _section(section: Section, notes: Mapping[str, Sequence[str]], console: Console) -> list[RenderableType]:
    from rich.text import Text

    style = "bold underline" if section.level <= 2 else "bold"
    found: list[RenderableType] = [Text("\n" + one_line(section.title), style=style)]
    found += [Text(one_line(line)) for line in section.lines]
    found += map(_bullet, section.items)
    if section.aside:
        names = ", ".join(f"tables/{one.name}.csv" for one in section.tables)
        found.append(Text(f"In files of their own: {names}.", style="dim"))
        found += [_bullet(note) for one in section.tables for note in notes[one.name]]
    else:
        for one in section.tables:
            if len(section.tables) > 1:
                found.append(Text("\n" + one_line(one.title), style="italic"))
            found += [_grid(part, console.is_terminal) for part in blocks(one, console.width, _width)]
            found += map(_bullet, notes[one.name])
    pictures = ", ".join(f"{picture.file}.png" for picture in section.pictures)
    return [*found, Text(f"Pictures: {pictures}", style="dim")] if pictures else found


def _grid(content: Table, styled: bool) -> RenderableType:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in content.columns:
        grid.add_column(Text("\n".join(_heading(column))), justify=column.align, overflow="fold")
    part = None
    for row in content.rows:
        if row.section and row.section != part:
            grid.add_section()
            grid.add_row(Text(one_line(row.section), style="italic"))
        part = row.section
        grid.add_row(*(_cell(cell, styled) for cell in row.cells), style="dim" if row.faint else None)
    return grid


def _heading(column: Column) -> list[str]:
    return [one_line(column.title), *([one_line(column.unit)] if column.unit else [])]


def _cell(cell: TableCell, styled: bool) -> Text:
    from rich.text import Text

    # Where bold cannot be seen, in a pipe or a file, asterisks stand for it.
    stars = "**" if cell.strong and not styled else ""
    text = Text(f"{stars}{one_line(cell.text)}{stars}", style="bold" if cell.strong else "")
    text.append((f" {one_line(cell.after)}" if cell.after else "") + one_line(cell.signs), style="not bold")
    if cell.mark:
        text.append(f" {MARKS[cell.mark]}", style=COLOURS[cell.mark])
    return text


def _width(column: Column, cells: Sequence[TableCell]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, [*_heading(column), *(one_line(cell.plain) + "****" * cell.strong for cell in cells)])) + 3


def _bullet(text: str) -> RenderableType:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid.grid(padding=(0, 1, 0, 0))
    grid.add_row("-", Text(one_line(text)))
    return grid
