"""One submission: its files below the run folder, and which jobs it still takes care of."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.errors import RequestError
from bench.files import write_json
from slurm import outcomes, site
from slurm.executor import Job

FOLDER, FILE, LOCK = "slurm", "submission.json", "launch.lock"


class Array(BaseModel):
    """One array in Slurm (or a job that is none, where it has one task)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str
    group: str
    tasks: int
    pack: int


class GroupEntry(BaseModel):
    """A group as the submission remembers it: the arrays that it waits for, and its jobs."""

    model_config = ConfigDict(extra="forbid")

    after: list[str]
    jobs: list[str]


class Content(BaseModel):
    """What ``submission.json`` says. Groups whose array is missing had not been submitted when it was written."""

    model_config = ConfigDict(extra="forbid")

    id: str
    created: str  # ISO time
    profile: dict[str, Any]
    arrays: list[Array]
    groups: dict[str, GroupEntry]


@dataclass(frozen=True)
class Submission:
    """The paths of one submission, ``OUT/slurm/ID/``, and what lies there."""

    out: Path
    id: str

    @classmethod
    def new(cls, out: Path) -> Submission:
        """Return a submission with an id of its own; nothing is written."""
        return cls(out, f"{datetime.now():%Y-%m-%dT%H%M%S}-{secrets.token_hex(2)}")

    @classmethod
    def all(cls, out: Path) -> list[Submission]:
        """Return the submissions of a run folder, oldest first."""
        return [cls(out, path.parent.name) for path in sorted((out / FOLDER).glob(f"*/{FILE}"))]

    @property
    def folder(self) -> Path:
        """Everything of this submission."""
        return self.out / FOLDER / self.id

    @property
    def submitit(self) -> Path:
        """The folder of submitit: sbatch files, pickles, and output of the array tasks, which ``logs`` shows."""
        return self.folder / "submitit"

    def job_name(self, group: str) -> str:
        """Return the name under which a group is in Slurm's queue: found there even if its id was never noted."""
        return f"{group}.{self.id}"

    def content(self) -> Content:
        """Read ``submission.json``.

        Raises
        ------
        ValueError: if it is damaged.
        OSError: if it cannot be read.
        """
        return Content.model_validate_json((self.folder / FILE).read_bytes())

    def save(self, content: Content) -> None:
        """Write ``submission.json``."""
        write_json(self.folder / FILE, content.model_dump())

    def save_jobs(self, group: str, jobs: Sequence[Job]) -> None:
        """Write ``GROUP.json``: the jobs, what all their payloads say only once."""
        first = jobs[0].payload
        common = {key: value for key, value in first.items() if all(_has(job, key, value) for job in jobs)}
        rows = []
        for job in jobs:
            own = {key: value for key, value in job.payload.items() if key not in common}
            rows.append({field.name: getattr(job, field.name) for field in fields(job)} | {"payload": own})
        write_json(self.folder / f"{group}.json", {"common": common, "jobs": rows})

    def jobs(self, group: str) -> list[Job]:
        """Read the jobs of a group.

        Raises
        ------
        ValueError: if the file is damaged.
        OSError: if it cannot be read.
        """
        content = json.loads((self.folder / f"{group}.json").read_text(encoding="utf-8"))
        return [
            Job(**row | {"payload": content["common"] | row["payload"], "needs": tuple(row["needs"])})
            for row in content["jobs"]
        ]

    def has_work(self, array: str) -> bool:
        """Whether any task of an array finds what it is to do: a launcher that is killed may not have got so far."""
        return any(self.submitit.glob(f"{array}_*submitted.pkl"))

    def ended(self, job_id: str) -> bool:
        """Whether a job has run to an end in this submission, good or bad."""
        end = outcomes.read(self.out, job_id)
        return end is not None and end.submission == self.id


@contextmanager
def launching(out: Path) -> Iterator[None]:
    """Keep other launchers off a run folder; raises RequestError at once if one is at work there."""
    from filelock import FileLock, Timeout

    path = out / FOLDER / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RequestError(
            f"--out: another launcher is submitting from {out} now; run again when it is through (its lock is {path})"
        ) from error
    try:
        yield
    finally:
        lock.release()


def covered(out: Path) -> dict[str, list[str]]:
    """Return the jobs that arrays in the queue still have to run -> the ids of those arrays.

    Arrays that a launcher was killed too early to give work to are cancelled; so call it while :func:`launching`.

    Raises
    ------
    RequestError: if there are submissions and Slurm cannot say what is in its queue.
    """
    groups: dict[str, tuple[Submission, GroupEntry]] = {}
    for submission in Submission.all(out):
        try:
            content = submission.content()
        except (OSError, ValueError):
            continue  # nothing was submitted before the file was whole
        groups |= {submission.job_name(name): (submission, entry) for name, entry in content.groups.items()}
    queued = site.queue(list(groups))
    if queued is None:
        raise RequestError(f"--out: {out} has earlier submissions, and squeue does not say which of them still run")
    arrays: dict[str, list[str]] = {}
    for task in queued:
        if task.reason == "DependencyNeverSatisfied":  # a site that does not end such tasks: they will never run
            continue
        if task.array not in arrays.setdefault(task.name, []):
            arrays[task.name].append(task.array)
    jobs: dict[str, list[str]] = {}
    for name, found in arrays.items():
        submission, entry = groups[name]
        working = [array for array in found if submission.has_work(array)]
        site.cancel([array for array in found if array not in working])
        for job_id in entry.jobs if working else ():
            if not submission.ended(job_id):
                jobs.setdefault(job_id, []).extend(working)
    return jobs


def _has(job: Job, key: str, value: Any) -> bool:
    return key in job.payload and job.payload[key] == value
