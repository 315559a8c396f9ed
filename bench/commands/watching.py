"""What became of the jobs that were submitted from a run folder: read from its files and Slurm's queue alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.commands import tasklogs
from bench.commands.running import Running, running
from slurm import outcomes, site
from slurm.executor import Job
from slurm.outcomes import Ended
from slurm.site import QueuedTask
from slurm.submission import FILE, Content, Submission

NEVER = "DependencyNeverSatisfied"  # why a task waits for ever, at sites that do not cancel it
State = Literal["running", "queued", "done", "failed", "lost", "unknown"]
WORDS = 3  # of the last words of array tasks


@dataclass
class View:
    """The submissions of a run folder at one moment.

    Read in the order in which a job moves on (queue, claims, outcomes; the records come after), so that one which
    moves on meanwhile is never overlooked.
    """

    out: Path
    contents: dict[Submission, Content] = field(default_factory=dict)  # oldest first
    queue: list[QueuedTask] | None = None  # None: Slurm cannot be asked
    running: dict[str, Running] = field(default_factory=dict)  # by job
    jobs: dict[str, Job] = field(default_factory=dict)  # of whatever files can be read
    damaged: list[Path] = field(default_factory=list)
    _last: dict[str, tuple[Submission, str]] = field(default_factory=dict)  # the newest submission, its group
    _tasks: dict[str, list[QueuedTask]] = field(default_factory=lambda: defaultdict(list))  # by name in the queue
    _waiting: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, out: Path) -> View:
        """Look at a run folder; one without submissions is asked for what runs alone."""
        view = cls(out)
        for submission in Submission.all(out):
            try:
                view.contents[submission] = submission.content()
            except (OSError, ValueError):
                view.damaged.append(submission.folder / FILE)
        names = [one.job_name(group) for one, content in view.contents.items() for group in content.groups]
        view.queue = site.queue(names)
        arrays = [array.job_id for content in view.contents.values() for array in content.arrays]
        for task in view.queue or ():
            view._tasks[task.name].append(task)
        view.running = running(out, arrays, view.queue)
        for submission, content in view.contents.items():
            for group, entry in content.groups.items():
                view._last |= dict.fromkeys(entry.jobs, (submission, group))
                view._read_jobs(submission, group)
        view._waiting = set(view._covered())
        return view

    def state(self, job_id: str) -> State | None:
        """Return what became of a job; None if no submission has it.

        "lost": it has not ended, and is not in the queue; "unknown" where Slurm cannot be asked.
        """
        if job_id in self.running:
            return "running"
        if job_id in self._waiting:
            return "queued"
        if job_id not in self._last:
            return None
        end = self.end(job_id)
        if end is None:
            return "unknown" if self.queue is None else "lost"
        return "done" if end.ok else "failed"

    def end(self, job_id: str) -> Ended | None:
        """Return how a job ended in the newest submission that has it."""
        end = outcomes.read(self.out, job_id)
        return end if end and job_id in self._last and end.submission == self._last[job_id][0].id else None

    def title(self, job_id: str) -> str:
        """Return what a person calls a job."""
        return self.jobs[job_id].title if job_id in self.jobs else job_id

    @property
    def submitted(self) -> list[str]:
        """All jobs of all submissions."""
        return list(self._last)

    @property
    def shared(self) -> list[str]:
        """The submitted jobs that are no cells."""
        return [job_id for job_id in self._last if not job_id.startswith("cell-")]

    def needing(self, job_id: str) -> set[str]:
        """Return the jobs that cannot run before ``job_id`` has succeeded."""
        found = {job_id}
        while more := {name for name, job in self.jobs.items() if name not in found and found & {*job.needs}}:
            found |= more
        return found - {job_id}

    def alive(self) -> list[tuple[Submission, list[QueuedTask]]]:
        """Return the submissions that have something in the queue, and what; none if Slurm cannot be asked."""
        pairs = [
            (submission, [task for group in content.groups for task in self._tasks[submission.job_name(group)]])
            for submission, content in self.contents.items()
        ]
        return [(submission, tasks) for submission, tasks in pairs if tasks]

    def last_words(self, jobs: set[str]) -> list[str]:
        """Return why array tasks of these jobs' groups ended, as far as their logs tell."""
        groups = {self._last[job_id] for job_id in jobs if job_id in self._last}
        words: dict[str, str] = {}
        for submission, content in self.contents.items():
            arrays = [array.job_id for array in content.arrays if (submission, array.group) in groups]
            for path in tasklogs.of_arrays(submission.submitit, arrays):
                if found := tasklogs.reasons(path):
                    words.setdefault(found[-1], path.name.removesuffix("_0_log.out"))
        return [f"array task {task}: {line}" for line, task in list(words.items())[:WORDS]]

    def arrays_of(self, job_id: str) -> list[Path]:
        """Return the logs of the array tasks that could have run a job."""
        submission, group = self._last[job_id]
        arrays = [array.job_id for array in self.contents[submission].arrays if array.group == group]
        return tasklogs.of_arrays(submission.submitit, arrays)

    def _covered(self) -> Iterator[str]:
        """Yield the jobs that array tasks in the queue will still run."""
        for submission, content in self.contents.items():
            for group, entry in content.groups.items():
                if any(task.reason != NEVER for task in self._tasks[submission.job_name(group)]):
                    yield from (job_id for job_id in entry.jobs if not submission.ended(job_id))

    def _read_jobs(self, submission: Submission, group: str) -> None:
        try:
            self.jobs |= {job.id: job for job in submission.jobs(group)}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            self.damaged.append(submission.folder / f"{group}.json")
