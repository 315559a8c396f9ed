"""The report command: everything is drawn by ``leaderboard``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.commands.folders import check_run
from bench.errors import RequestError


def write_report(
    folders: Sequence[Path],
    focus: str | None = None,
    to: Path | None = None,
    html: bool = False,
    baseline: Path | None = None,
) -> str:
    """Write the report's files and return the leaderboard, and what changed, as text with their paths below.

    Raises
    ------
    RequestError: if a folder is none of a run, or see :func:`leaderboard.report.write`.
    """
    from leaderboard import report

    for folder in folders:
        if folder.is_dir():
            check_run(folder)
    paths = report.write(folders, focus, to, html, baseline)
    texts = [_leaderboard(paths)]
    texts += [path.read_text(encoding="utf-8") for path in paths if path.name == "changes.md"]
    return "\n".join([*texts, *(f"wrote {line}" for line in _written(paths))])


def _leaderboard(paths: Sequence[Path]) -> str:
    """What report.json says: with colours and no wider than it on a terminal, else as in leaderboard.md."""
    if not sys.stdout.isatty():
        return paths[1].read_text(encoding="utf-8")
    from rich.console import Console

    from leaderboard.content import Report
    from leaderboard.tables.terminal import show

    console = Console(highlight=False)
    with console.capture() as captured:
        show(Report.model_validate_json(paths[0].read_text(encoding="utf-8")), console)
    return captured.get()


def _written(paths: Sequence[Path]) -> list[str]:
    """The files to open first by name, of the others how many."""
    tables = [path for path in paths if path.parent.name == "tables"]
    pictures = [
        path for path in paths if path.suffix in (".png", ".svg") and path.parent == paths[0].parent / "pictures"
    ]
    named = [str(path) for path in paths if path.suffix in (".json", ".md", ".html") and path not in tables]
    groups = [(tables, 4, "tables as CSV, HTML, JSON and LaTeX"), (pictures, 2, "pictures as PNG and SVG")]
    return named + [f"{len(some) // each} {what} in {some[0].parent}" for some, each, what in groups if some]


def check_records(folders: Sequence[Path], **others: object) -> tuple[str, bool]:
    """Return what is wrong with the records, a line each, and whether it is nothing but notes.

    Raises
    ------
    RequestError: if the folders hold no records, or any of the ``others``, which need a report, is given.
    """
    from leaderboard.check import check

    if given := [f"--{name}" for name, value in others.items() if value]:
        raise RequestError(f"--check: expected no {' or '.join(given)} beside it, because it only reads the records")
    found = check(folders)
    count = sum(not problem.note for problem in found.problems)
    problems = f"{count} problem{'s' * (count > 1)}" if count else "no problem"
    records = f"{found.records} record{'s' * (found.records != 1)}"
    return "\n".join([*map(str, found.problems), f"{records}, {problems} found"]), not count
