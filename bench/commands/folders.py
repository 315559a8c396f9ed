"""Whether a folder is that of a run, as the commands see it that are given one."""

from __future__ import annotations

from pathlib import Path

from bench import plan
from bench.errors import RequestError

PARTS = (plan.FILE, "records", "failures")


def check_run(out: Path, *others: str) -> None:
    """Raise RequestError if a folder holds nothing that a run leaves, and none of ``others``."""
    if not any((out / part).exists() for part in (*PARTS, *others)):
        raise no_run(out)


def no_run(out: Path) -> RequestError:
    """Return the error of a folder that is none of a run."""
    return RequestError(f"--out: expected the folder of a run, got {out}, which holds no plan and no records")
