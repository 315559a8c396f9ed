"""What runs at this moment, as the claims and progress files of a run folder tell."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from slurm import claims
from slurm.claims import STALE_SECONDS, Holder
from slurm.site import QueuedTask

FRESH_SECONDS = 120.0  # a progress file older than this belongs to a job that is gone
SILENT_SECONDS = 3 * claims.BEAT_SECONDS  # without a heartbeat, until that is worth a word
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING")  # states of Slurm
Time = Annotated[float, Field(ge=0, lt=2**33)]  # seconds since 1970


class Progress(BaseModel):
    """A progress file, see :class:`bench.work.Work`; ``first``: the steps that were done when this attempt began."""

    what: str
    step: int
    steps: int
    since: Time
    updated: Time
    first: int = 0


@dataclass(frozen=True)
class Running:
    """A job that runs: in an array task if it has a holder, else in a process of a run on some machine."""

    since: float
    progress: Progress | None  # None until it takes its first step
    holder: Holder | None
    silent: float  # seconds since the last sign of life

    def line(self, title: str) -> str:
        """Return what a person reads of it; ``title`` is of the job."""
        where = "starting"
        if self.progress:
            title = self.progress.what
            where = f"step {self.progress.step} of {self.progress.steps}"
        words = [where, _rate(self.progress), f"since {clock(self.since)} ({duration(time.time() - self.since)})"]
        if self.holder:
            words.insert(0, "stopping" if self.holder.state == "stopping" else "")
            words.append(f"on {self.holder.host}" if self.holder.host else "")
            words.append(f"deaths before: {self.holder.deaths}" if self.holder.deaths else "")
        words.append(f"no sign of life for {duration(self.silent)}" if self.silent > SILENT_SECONDS else "")
        return f"{title}: {', '.join(word for word in words if word)}"


def read(out: Path) -> dict[str, tuple[Progress, float]]:
    """Return the progress files that are whole, with the time when each was written, by the id of the job."""
    found = {}
    for path in sorted((out / "progress").glob("*.json")):
        try:
            with path.open("rb") as file:
                content = Progress.model_validate_json(file.read())
            name = path.stem if content.what.endswith("(shared)") else f"cell-{path.stem}"
            found[name] = (content, path.stat().st_mtime)
        except (OSError, ValueError):
            continue  # being replaced, or of a job that just ended
    return found


def running(out: Path, arrays: Sequence[str], queue: Sequence[QueuedTask] | None) -> dict[str, Running]:
    """Return what runs, by the id of the job.

    Parameters
    ----------
    arrays: ids of the arrays of the folder's submissions.
    queue: what Slurm has of them, None if it cannot be asked; then whoever sent a heartbeat of late is alive.
    """
    states = None if queue is None else {(task.array, task.task): task.state for task in queue}
    held, progress = claims.holders(out / "claims"), read(out)
    now = _now(out) if held else 0.0
    found: dict[str, Running] = {}
    for name, holder in held.items():
        silent = max(0.0, now - holder.beat)
        if _lives(holder, silent, arrays, states):
            since, content = _since(holder), progress.get(name, (None, 0.0))[0]
            earlier = content is not None and content.since < since  # of another attempt
            found[name] = Running(since, None if earlier else content, holder, silent)
    for name, (content, written) in progress.items():
        if name not in found and _fresh(content) and _without_slurm(out, name, content, written, held):
            found[name] = Running(content.since, content, None, time.time() - content.updated)
    return found


def clock(when: float) -> str:
    """Return a time as a person here reads it."""
    return f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """Return ``40 s``, ``12 min``, ``3.4 h`` or ``2.1 days``."""
    for size, unit in ((86400.0, "days"), (3600.0, "h")):
        if seconds > 1.99 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds > 119 else f"{max(0.0, seconds):.0f} s"


def _lives(
    holder: Holder, silent: float, arrays: Sequence[str], states: dict[tuple[str, str], str] | None
) -> bool:  # fmt: skip
    """Whether a holder is alive: Slurm knows it of its own tasks at once, a heartbeat only after a while."""
    match = re.fullmatch(r"slurm (\d+)(?:_(\d+))?", str(holder.owner))
    if match and states is not None:
        state = states.get((match[1], match[2] or ""))
        if state or match[1] in arrays:
            return state is not None and state not in WAITING
    return silent <= STALE_SECONDS


def _since(holder: Holder) -> float:
    try:
        return datetime.fromisoformat(holder.since).timestamp()
    except (ValueError, TypeError):  # its file is being written
        return holder.beat


def _rate(content: Progress | None) -> str:
    if content is None or content.step <= content.first or content.updated <= content.since:
        return ""
    rate = (content.step - content.first) / (content.updated - content.since)
    return f"{rate:.3g} steps/s" if rate >= 1 else f"{1 / rate:.3g} s/step"


def _fresh(content: Progress) -> bool:
    return time.time() - content.updated < FRESH_SECONDS


def _without_slurm(out: Path, name: str, content: Progress, written: float, held: Container[str]) -> bool:
    """Whether a progress file is of a run on some machine, not what an array task left that is gone."""
    touched = 0.0
    for path in (out / "claims").glob(f"{name}.*.json"):
        with suppress(OSError):
            touched = max(touched, path.stat().st_mtime)
    if name in held:  # it was killed some time after its last heartbeat
        return content.since > touched + 2 * claims.BEAT_SECONDS
    return written > touched  # it lets go of its claim after its last step


def _now(out: Path) -> float:
    """Return the time by the clock of the file server, which stamps heartbeats."""
    try:
        with tempfile.TemporaryFile(dir=out) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # somebody else's folder
        return time.time()
