"""The report command: everything is drawn by ``leaderboard``."""

from __future__ import annotations

from pathlib import Path

from bench.errors import RequestError


def write_report(out: Path, focus: str | None) -> str:
    """Write the report's files into ``out`` and return the leaderboard as text with their paths below."""
    from leaderboard import report

    try:
        paths = report.write(out, focus)
    except OSError as error:
        raise RequestError(f"--out: cannot write the report into {out}: {error.strerror or error}") from error
    return "\n".join([(out / "leaderboard.md").read_text(encoding="utf-8"), *(f"wrote {path}" for path in paths)])
