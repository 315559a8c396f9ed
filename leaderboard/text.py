"""Pieces of Markdown that read well as they stand in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTHING = "–"


def bullets(lines: Iterable[str]) -> str:
    """A list with one item per line."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up."""
    from tabulate import tabulate

    cells = [[escaped(cell) for cell in row] for row in rows]
    return tabulate(cells, [escaped(cell) for cell in head], tablefmt="github", disable_numparse=True)


def escaped(text: str) -> str:
    """One line in which no character ends a table cell or opens a tag."""
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", " ".join(text.split()).replace("|", "\\|"))


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
