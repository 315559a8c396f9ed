"""Jobs one after another in this process: nothing to start, and a debugger sees everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from slurm.executor import Executor, Job, Outcome, attempt
from slurm.interruption import handled, request_first
from slurm.schedule import Schedule


class InProcess(Executor):
    """Every job may use ``threads`` threads. A job that ends the process ends the run.

    In the main thread the first Ctrl-C, SIGTERM or SIGHUP lets the job save its state; the second ends it at once.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, jobs: Sequence[Job], started: Callable[[Job], None] | None = None) -> Iterator[Outcome]:
        """See :meth:`Executor.run`.

        Raises
        ------
        ValueError: as there.
        KeyboardInterrupt: as there, and on these signals.
        """
        return self._run(Schedule(jobs), started)

    def _run(self, schedule: Schedule, started: Callable[[Job], None] | None) -> Iterator[Outcome]:
        with handled(request_first):
            while (job := schedule.take()) is not None:
                if started:
                    started(job)
                outcome = attempt(job, self.threads)
                if outcome.interrupted:
                    raise KeyboardInterrupt
                yield from schedule.end(outcome)
