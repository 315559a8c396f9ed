"""Which job may start next, and which never will."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from heapq import heapify, heappop, heappush

from slurm.executor import Job, Outcome


class Schedule:
    """The jobs of one run, handed out once each, in the given order as far as their needs allow.

    Raises
    ------
    ValueError: if ids repeat, a need is not among the jobs, or needs form a cycle.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = list(jobs)
        self._position = {job.id: position for position, job in enumerate(self._jobs)}
        if len(self._position) < len(self._jobs):
            raise ValueError("jobs: expected each id once, got one id for several jobs")
        for job in self._jobs:
            for need in job.needs:
                if need not in self._position:
                    raise ValueError(f"jobs: {job.id} needs {need!r}, which is not among them")
        self._sorter = TopologicalSorter({job.id: job.needs for job in self._jobs})
        self._sorter.prepare()  # CycleError is a ValueError
        self._failed: dict[str, Outcome] = {}
        self._ready = [self._position[name] for name in self._sorter.get_ready()]
        heapify(self._ready)

    def take(self) -> Job | None:
        """Return the next job that can start now, or None."""
        if not self._ready:
            return None
        return self._jobs[heappop(self._ready)]

    def back(self, job: Job) -> None:
        """Take back a job that was not started after all: it is the next."""
        heappush(self._ready, self._position[job.id])

    def end(self, outcome: Outcome) -> list[Outcome]:
        """Note how a job that was taken ended; return its outcome and those of the jobs that it stops for good."""
        ended = [outcome]
        for latest in ended:  # grows while a failure spreads
            if not latest.ok:
                self._failed[latest.job.id] = latest
            self._sorter.done(latest.job.id)
            for position in sorted(self._position[name] for name in self._sorter.get_ready()):
                job = self._jobs[position]
                failed = next((self._failed[need] for need in job.needs if need in self._failed), None)
                if failed is None:
                    heappush(self._ready, position)
                else:
                    ended.append(Outcome(job, False, f"needs {failed.job.title}, which failed: {failed.reason}"))
        return ended
