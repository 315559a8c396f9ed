"""The one table object from which every format is written, and the outline that puts tables in order.

All words are plain: markup and escaping belong to the formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from leaderboard.content import Picture

Mark = Literal["better", "worse"]
MARKS: dict[Mark, str] = {"better": "▲", "worse": "▼"}
NOTHING = "–"  # where a number does not exist


class TableCell(BaseModel):
    """One cell: what is shown, and the full numbers behind it."""

    text: str = ""
    after: str = ""  # shown behind the text, never strong: a number of seeds, an interval
    numbers: dict[str, float] = {}  # the cell's own number has the name "" or "mean" and comes first
    strong: bool = False
    signs: str = ""  # such as a dagger
    mark: Mark | None = None

    @property
    def rest(self) -> str:
        """What stands behind the text."""
        after = f" {self.after}" if self.after else ""
        return f"{after}{self.signs}{' ' + MARKS[self.mark] if self.mark else ''}"

    @property
    def plain(self) -> str:
        """Everything that is shown."""
        return self.text + self.rest

    @property
    def sort_by(self) -> float | None:
        """The cell's own number."""
        return next(iter(self.numbers.values()), None)


class Column(BaseModel):
    """A column and its heading."""

    key: str  # names the column in a file
    title: str
    unit: str = ""  # and direction, such as "ROC-AUC ↑"
    align: Literal["left", "right"] = "right"

    @property
    def heading(self) -> str:
        """Title and unit on one line."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


class TableRow(BaseModel):
    """One row; as many cells as the table has columns."""

    cells: list[TableCell]
    faint: bool = False  # numbers of papers, in grey
    section: str | None = None  # rows of one section follow each other


class Table(BaseModel):
    """A table that stands by itself, with its caption."""

    name: str  # a slug, unique in the report: the name of the file
    title: str
    columns: list[Column]
    rows: list[TableRow]
    notes: list[str] = []  # one sentence or more each
    stub: int = 1  # how many first columns name the row; repeated where the table is split into blocks

    def without_empty(self) -> Table:
        """The same table without the columns that show nothing but dashes."""
        kept = [
            k
            for k in range(len(self.columns))
            if k < self.stub or any(row.cells[k].plain not in ("", NOTHING) for row in self.rows)
        ]
        return self.part(kept)

    def part(self, places: Sequence[int]) -> Table:
        """The same table with these columns only."""
        rows = [row.model_copy(update={"cells": [row.cells[k] for k in places]}) for row in self.rows]
        return self.model_copy(update={"columns": [self.columns[k] for k in places], "rows": rows})


class Section(BaseModel):
    """A part of the report."""

    title: str
    level: int  # 1 is the report
    lines: list[str] = []  # paragraphs
    tables: list[Table] = []
    items: list[str] = []  # a list
    pictures: list[Picture] = []
    aside: bool = False  # the tables are too large to read here: they are named, and stand in files of their own
