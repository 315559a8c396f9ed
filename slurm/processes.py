"""Jobs side by side in processes of this machine; a process that dies takes one job with it."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from slurm.executor import Executor, Job, Outcome
from slurm.schedule import Schedule
from slurm.worker import Worker, end

LOOK_SECONDS = 1.0  # a dead worker is seen at once, unless a process that it forked holds its pipe open


class LocalProcesses(Executor):
    """``workers`` persistent processes, each with one job at a time and ``threads`` threads for it.

    A job that is ``alone`` and meets no other job that runs or could start has ``workers * threads``.
    With ``logs``, a job's standard output and error go to ``logs/JOBID.log``, written anew at each run.
    """

    def __init__(self, workers: int, threads: int, logs: Path | None = None) -> None:
        self.workers, self.threads, self.logs = workers, threads, logs

    def run(self, jobs: Sequence[Job], started: Callable[[Job], None] | None = None) -> Iterator[Outcome]:
        """See :meth:`Executor.run`.

        Raises
        ------
        ValueError: as there.
        OSError: if the folder of logs cannot be made.
        """
        schedule = Schedule(jobs)
        if self.logs:
            self.logs.mkdir(parents=True, exist_ok=True)
        return self._run(schedule, started)

    def _run(self, schedule: Schedule, started: Callable[[Job], None] | None) -> Iterator[Outcome]:
        crew: list[Worker] = []
        # An iteration that somebody still holds when the interpreter exits would wait for its workers for ever.
        leave = partial(end, crew)
        atexit.register(leave)
        try:
            while True:
                while sum(worker.job is not None for worker in crew) < self.workers and (job := schedule.take()):
                    all_threads = job.alone and not schedule.has_company()
                    self._idle(crew).start(job, self.workers * self.threads if all_threads else self.threads)
                    if started:
                        started(job)
                busy = [worker for worker in crew if worker.job]
                if not busy:
                    return
                wait([handle for worker in busy for handle in worker.handles], LOOK_SECONDS)
                for worker in busy:
                    if outcome := worker.look():
                        yield from schedule.end(outcome)
        finally:
            leave()
            atexit.unregister(leave)

    def _idle(self, crew: list[Worker]) -> Worker:
        """Return a worker without a job: one that is there, else a new one, in the place of any that died."""
        for dead in [worker for worker in crew if not worker.is_alive()]:
            end([dead])
            crew.remove(dead)
        for worker in crew:
            if worker.job is None:
                return worker
        crew.append(Worker(self.workers * self.threads, self.logs))
        return crew[-1]
