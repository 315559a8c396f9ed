"""Tables from one table object: terminal, Markdown, HTML, LaTeX, CSV, JSON."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.files import write_atomic
from leaderboard.content import Report
from leaderboard.tables import csv, html, latex
from leaderboard.tables.outline import sections
from leaderboard.tables.table import Column, Section, Table, TableCell, TableRow

__all__ = ["Column", "Section", "Table", "TableCell", "TableRow", "all_tables", "sections", "write_tables"]


def all_tables(report: Report) -> list[Table]:
    """Every table of the report, in the order of its sections."""
    return [table for section in sections(report) for table in section.tables]


def write_tables(folder: Path, report: Report) -> list[Path]:
    """Write ``folder/tables/NAME`` as csv, html, json and tex for every table, and return the paths.

    Raises
    ------
    OSError: if the disk is full or the folder cannot be written.
    """
    paths = []
    for table in all_tables(report):
        formats = {
            "csv": csv.table(table),
            "html": html.table(table),
            "json": table.model_dump_json(indent=1),
            "tex": latex.table(table),
        }
        for ending, text in formats.items():
            path = folder / "tables" / f"{table.name}.{ending}"
            write_atomic(path, partial(Path.write_text, data=text, encoding="utf-8"))
            paths.append(path)
    return paths
