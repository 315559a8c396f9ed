"""What array tasks printed: the words of Slurm, submitit and the station that tell why one ended."""

from __future__ import annotations

import os
import re
from pathlib import Path

from slurm.submission import FOLDER

# What Slurm and the script that it runs complain of, and the last line of a Python traceback.
TELLING = re.compile(r"slurmstepd\S*: error: |\S*slurm_script: |[A-Za-z_][\w.]*(Error|Exception|Interrupt)\b")
AT_LEAST = re.compile(r"srun: error: ")  # seldom says more than the number with which a task ended
LINE_BYTES = 400  # of a line, on the average and more
WORDS = 3  # lines that tell why


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a log, none if it cannot be read."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - lines * LINE_BYTES))
            return log.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


def of_task(out: Path, owner: str) -> Path | None:
    """Return the log of the array task that holds or held a claim, None if there is none."""
    match = re.fullmatch(r"slurm (\d+(?:_\d+)?)", owner)
    found = sorted((out / FOLDER).glob(f"*/submitit/{match[1]}_0_log.out")) if match else []
    return found[-1] if found else None


def of_arrays(folder: Path, arrays: list[str]) -> list[Path]:
    """Return the logs of all tasks of arrays, below the folder of submitit."""
    return sorted(path for array in arrays for path in folder.glob(f"{array}_*log.out"))


def reasons(path: Path, title: str = "") -> list[str]:
    """Return the last lines of a task's log that tell why it ended, or what became of the job ``title``."""
    named = re.compile(re.escape(title) + r"(?!\d)") if title else None
    lines = tail(path, 400)
    found = [line for line in lines if TELLING.match(line) or (named and named.search(line))]
    return (found or [line for line in lines if AT_LEAST.match(line)])[-WORDS:]
