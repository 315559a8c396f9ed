"""From folders of records to the report: at any time, also while cells run."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from bench.errors import RequestError, nearest
from bench.files import write_atomic, write_json
from leaderboard.board import board
from leaderboard.content import Report
from leaderboard.grid import Slot, distinct, read_folders

OWN = re.compile(r"(tables|pictures|page/pictures)/[a-z0-9-]+\.(csv|html|json|tex|png|svg)")


def build(folders: Sequence[Path], focus: str | None = None) -> Report:
    """Compute everything that the report shows.

    Parameters
    ----------
    folders: where runs wrote their records; several are merged.
    focus: the method that is compared with every other; by default "tapweight", else the first
        method that learns weights, else the last.

    Raises
    ------
    RequestError: see :func:`leaderboard.grid.read_folders`; or if ``focus`` is in none of the folders.
    """
    folders = distinct(folders)
    found = read_folders(folders)
    protocols: dict[str, list[Slot]] = defaultdict(list)
    for slot in found.slots:
        protocols[slot.cell.protocol].append(slot)
    boards = [board(name, slots, found.plan, focus) for name, slots in sorted(protocols.items())]
    if focus is not None and not any(board.focus for board in boards):
        rows = [row for board in boards for row in board.rows if row.control_of is None]
        known = {name for row in rows for name in (row.label, row.method)}
        raise RequestError(f"--focus: {focus!r} is not a method of this report; {nearest(focus, known)}")
    return Report(
        folders=[str(folder) for folder in folders],
        boards=boards,
        skipped=found.plan.skipped,
        damaged=found.damaged,
        set_aside=found.set_aside,
    )


def write(
    folders: Sequence[Path],
    focus: str | None = None,
    to: Path | None = None,
    html: bool = False,
    baseline: Path | None = None,
) -> list[Path]:
    """Write report.json, leaderboard.md, the pictures and the tables; return their paths.

    Parameters
    ----------
    folders, focus: see :func:`build`.
    to: the folder to write into; by default the one folder that is read.
    html: write the page too.
    baseline: an older report.json, or a folder that holds one: write changes.md, what changed since.

    Raises
    ------
    RequestError: as :func:`build`; if several folders are read and ``to`` is None; if the baseline is no
        report; if the folder cannot be written.
    """
    from leaderboard import changes

    folders = distinct(folders)
    if to is None and len(folders) > 1:
        raise RequestError(f"--to: expected the folder to write the report of {len(folders)} folders into, got none")
    # Read first: the older report may be the one that is written over.
    before = changes.read(baseline) if baseline else None
    report = build(folders, focus)
    into = to or folders[0]
    try:
        paths = _write(into, report, html)
        if before:
            paths.append(_write_text(into / "changes.md", changes.render(changes.since(before, changes.kept(report)))))
    except OSError as error:
        name = "--out" if to is None else "--to"
        raise RequestError(
            f"{name}: expected a folder that can be written, got {into} ({error.strerror or error})"
        ) from error
    return paths


def _write(into: Path, report: Report, html: bool) -> list[Path]:
    from leaderboard.pictures import draw, pictures_of
    from leaderboard.tables import write_tables
    from leaderboard.tables.markdown import render

    earlier = _files_of(into / "report.json")
    for one in report.boards:
        one.pictures = pictures_of(one, len(report.boards) > 1)
    parts = [path for one in report.boards for picture in one.pictures for path in draw(one, picture, into)]
    parts += write_tables(into, report)
    if html:
        from leaderboard.page.build import build as build_page

        parts += build_page(report, into)
    written = {path.relative_to(into).as_posix() for path in parts}
    # A page that is not written now stays as it is.
    kept = written | {name for name in earlier if name.startswith("page/") and not html}
    report.files = sorted(kept)
    write_json(into / "report.json", report.model_dump(mode="json"))
    texts = [into / "report.json", _write_text(into / "leaderboard.md", render(report))]
    for name in set(earlier) - kept:
        (into / name).unlink(missing_ok=True)
    return texts + parts


class _Earlier(BaseModel):
    files: list[str] = []


def _files_of(path: Path) -> list[str]:
    """The tables and pictures that an earlier report lists as its own: nothing else is ever deleted."""
    try:
        found = _Earlier.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [name for name in found.files if OWN.fullmatch(name)]


def _write_text(path: Path, text: str) -> Path:
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
