"""From a folder of records to the report: at any time, also while cells run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from bench.errors import RequestError, nearest
from bench.files import write_atomic, write_json
from leaderboard.board import board
from leaderboard.content import Report
from leaderboard.grid import Slot, read_folder
from leaderboard.markdown import render


def build(folder: Path, focus: str | None = None) -> Report:
    """Compute everything that the report shows.

    Parameters
    ----------
    folder: where the run wrote its records.
    focus: the method that is compared with every other; by default "tapweight", else the first
        method that learns weights, else the last.

    Raises
    ------
    RequestError: see :func:`leaderboard.grid.read_folder`; or if ``focus`` is not in the folder.
    """
    found = read_folder(folder)
    protocols: dict[str, list[Slot]] = defaultdict(list)
    for slot in found.slots:
        protocols[slot.cell.protocol].append(slot)
    boards = [board(name, slots, found.plan, focus, len(protocols) > 1) for name, slots in sorted(protocols.items())]
    if focus is not None and not any(board.focus for board in boards):
        rows = [row for board in boards for row in board.rows if row.control_of is None]
        known = {name for row in rows for name in (row.label, row.method)}
        raise RequestError(f"focus: {focus!r} is not a method of this folder; {nearest(focus, known)}")
    return Report(
        folders=[str(folder)],
        boards=boards,
        skipped=found.plan.skipped,
        damaged=found.damaged,
        set_aside=found.set_aside,
    )


def write(folder: Path, focus: str | None = None) -> list[Path]:
    """Write report.json, leaderboard.md and the weight pictures into ``folder``; return their paths.

    Raises as :func:`build`.
    """
    report = build(folder, focus)
    write_json(folder / "report.json", report.model_dump(mode="json"))
    text = render(report)
    write_atomic(folder / "leaderboard.md", lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return [folder / "report.json", folder / "leaderboard.md"]
