"""How a job last ended, as a file: what tells a later process on any machine that it need not run again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.files import write_json

FOLDER = "outcomes"


@dataclass(frozen=True)
class Ended:
    """The end of a job, good or bad, in the submission of that id. An interruption is none."""

    submission: str
    ok: bool
    reason: str  # one line, "" if it is ok
    traceback: str  # or the last lines of what it printed, if it died
    seconds: float  # of the last attempt
    finished: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def write(out: Path, job_id: str, ended: Ended) -> None:
    """Note how a job ended."""
    write_json(out / FOLDER / f"{job_id}.json", asdict(ended))


def read(out: Path, job_id: str) -> Ended | None:
    """Return how a job last ended, None if it has not, or nobody can tell."""
    try:
        return Ended(**json.loads((out / FOLDER / f"{job_id}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
