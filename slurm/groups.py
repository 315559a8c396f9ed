"""Which jobs are launched together: groups of jobs alike, how many array tasks each gets, and what a task asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from slurm.executor import Job
from slurm.profile import Profile

SLOT_SECONDS = 900.0  # an array task should have this much to do: its start, and that of Python in it, cost seconds
LEAST_SECONDS = 10.0  # of a job: what records count leaves out that it loads its data
MOST_PACKED = 4  # cells on one GPU: they share its time, so more of them only take longer
TIME_MARGIN = 2.0  # on seconds of the past: nodes differ, and cells that run side by side slow each other
MEMORY_MARGIN = 1.5  # on peaks of the past
SPARE_GB = 1.0  # for the process that hands out the jobs
LEAST_MINUTES = 30  # of a request: shorter ones gain no place in the queue, and a time-out costs a requeue
GB = 2**30


@dataclass(frozen=True)
class Group:
    """Jobs that are alike and wait for the same, run by ``tasks`` array tasks with ``pack`` of them at a time in each.

    ``after``: names of the groups that must have succeeded before; ``after_arrays`` the same for arrays of earlier
    submissions. ``needed``: jobs of other groups wait for it.
    """

    name: str  # also of a file
    jobs: tuple[Job, ...]
    after: tuple[str, ...]
    after_arrays: tuple[str, ...]
    pack: int
    needed: bool
    tasks: int
    minutes: int
    memory_gb: float


def make(jobs: Sequence[Job], profile: Profile, live: Mapping[str, Sequence[str]]) -> list[Group]:
    """Return the groups of ``jobs``, each after those that it waits for.

    A job that others need is a group of its own, so that its failure stops those alone that need it. The others are
    grouped by what they need and their kind.

    Parameters
    ----------
    jobs: with every job that one of them needs.
    live: job ids that arrays of earlier submissions will still run -> the ids of those arrays. They are left out,
        and so is what only they need; jobs that need them wait for the arrays.

    Raises
    ------
    ValueError: if a job needs one that is neither among ``jobs`` before it nor in ``live``.
    """
    needed = {need for job in jobs for need in job.needs}
    wanted = _wanted(jobs, needed, live)
    members: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        if job.id in wanted:
            members.setdefault((job.id,) if job.id in needed else ("", job.kind, *sorted(job.needs)), []).append(job)
    groups: list[Group] = []
    of_job: dict[str, str] = {}
    for key, alike in members.items():
        name = _name(key[0] or alike[0].kind, {group.name for group in groups})
        needs = alike[0].needs
        if unknown := [need for need in needs if need not in of_job and need not in live]:
            raise ValueError(f"jobs: {alike[0].id} needs {unknown[0]!r}, which is not before it")
        pack = 1 if key[0] else cells_at_once(alike, profile)
        groups.append(
            Group(
                name=name,
                jobs=tuple(alike),
                after=tuple(dict.fromkeys(of_job[need] for need in needs if need in of_job)),
                after_arrays=tuple(dict.fromkeys(array for need in needs for array in live.get(need, ()))),
                pack=pack,
                needed=bool(key[0]),
                tasks=(tasks := _tasks(alike, pack, profile)),
                minutes=_minutes(alike, tasks, profile),
                memory_gb=_memory_gb(alike, pack, profile),
            )
        )
        of_job |= {job.id: name for job in alike}
    return groups


def cells_at_once(jobs: Sequence[Job], profile: Profile) -> int:
    """Return how many of ``jobs``, which are alike, run side by side in one array task.

    A number in the profile is taken as it is. ``auto`` packs small cells only, and only where records tell:

    - unknown memory: 1, since a cell that ends for want of memory may take its neighbours along;
    - longer than a slot: 1, since such a cell keeps a GPU busy, and side by side each takes longer;
    - else as many as fit the GPU's memory (without GPUs: the host's) with a margin, one core each at least, and no
      more than ``MOST_PACKED`` on a GPU.
    """
    if profile.pack != "auto":
        return min(profile.pack, len(jobs))
    memory, seconds = _largest(job.memory_bytes for job in jobs), _largest(job.seconds for job in jobs)
    room = profile.gpu_memory_gb if profile.gpus else profile.memory_gb - SPARE_GB
    if memory is None or seconds is None or room is None or (profile.gpus and seconds > SLOT_SECONDS):
        return 1
    most = min(MOST_PACKED, profile.cpus) if profile.gpus else profile.cpus
    return max(1, min(most, len(jobs), math.floor(room * GB / (MEMORY_MARGIN * max(1, memory)))))


def chunks(tasks: int, limit: int) -> list[int]:
    """Split ``tasks`` array tasks into arrays of at most ``limit``, as even as they can be."""
    count = math.ceil(tasks / limit)
    return [tasks // count + (position < tasks % count) for position in range(count)]


def _wanted(jobs: Sequence[Job], needed: Container[str], live: Container[str]) -> set[str]:
    """Return the ids to submit: no job that is taken care of, and none that only such jobs need."""
    wanted: set[str] = set()
    asked_for: set[str] = set()
    for job in reversed(jobs):  # each comes before what it needs
        if job.id not in live and (job.id not in needed or job.id in asked_for):
            wanted.add(job.id)
            asked_for.update(job.needs)
    return wanted


def _tasks(jobs: Sequence[Job], pack: int, profile: Profile) -> int:
    known = [job.seconds for job in jobs if job.seconds is not None]
    per_slot = max(1, int(SLOT_SECONDS / max(LEAST_SECONDS, fmean(known)))) if len(known) == len(jobs) else 1
    return min(profile.workers, math.ceil(len(jobs) / (pack * per_slot)))


def _minutes(jobs: Sequence[Job], tasks: int, profile: Profile) -> int:
    """Return the time limit to ask for: the profile's, or less where every job's seconds are known.

    Too little loses nothing: a task whose time is up saves its state and is queued again.
    """
    known = [job.seconds for job in jobs if job.seconds is not None]
    if len(known) < len(jobs):
        return profile.time_minutes
    expected = TIME_MARGIN * (sum(max(LEAST_SECONDS, seconds) for seconds in known) / tasks + max(known)) / 60
    return min(profile.time_minutes, max(LEAST_MINUTES, profile.least_minutes, math.ceil(expected)))


def _memory_gb(jobs: Sequence[Job], pack: int, profile: Profile) -> float:
    """Return the host memory to ask for: the profile's, or less where records of cells without a GPU tell."""
    largest = _largest(job.memory_bytes for job in jobs)
    if profile.gpus or largest is None:  # on a GPU, records know of its memory alone
        return profile.memory_gb
    return min(profile.memory_gb, math.ceil(SPARE_GB + pack * MEMORY_MARGIN * largest / GB))


def _largest(values: Iterable[float | None]) -> float | None:
    """Return the largest of ``values``, None if any is unknown."""
    known = list(values)
    return max((value for value in known if value is not None), default=None) if None not in known else None


def _name(wanted: str, taken: set[str]) -> str:
    base = re.sub(r"[^\w-]", "-", wanted)
    return base if base not in taken else next(n for i in range(2, len(taken) + 3) if (n := f"{base}-{i}") not in taken)
