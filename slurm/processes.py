"""Jobs side by side in processes of this machine; a process that dies takes one job with it."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from slurm.crew import Crew
from slurm.executor import Executor, Job, Outcome
from slurm.interruption import handled
from slurm.schedule import Schedule


class LocalProcesses(Executor):
    """``workers`` persistent processes, each with one job at a time and ``threads`` threads for it.

    A job that is ``alone`` has ``all_threads``, and nothing runs beside it. So the threads of a job, on which the last
    bits of what it computes depend, do not depend on what else there is to run.
    With ``logs``, a job's standard output and error go to ``logs/JOBID.log``, written anew at each run.
    In the main thread SIGTERM and SIGHUP end a run as Ctrl-C does: jobs save their state first.
    """

    def __init__(self, workers: int, threads: int, logs: Path | None = None, all_threads: int | None = None) -> None:
        self.workers, self.threads, self.logs = workers, threads, logs
        self.all_threads = all_threads or threads

    def run(self, jobs: Sequence[Job], started: Callable[[Job], None] | None = None) -> Iterator[Outcome]:
        """See :meth:`Executor.run`.

        Raises
        ------
        ValueError: as there.
        KeyboardInterrupt: as there, and on these signals.
        OSError: if the folder of logs cannot be made.
        """
        schedule = Schedule(jobs)
        if self.logs:
            self.logs.mkdir(parents=True, exist_ok=True)
        return self._run(schedule, started)

    def _run(self, schedule: Schedule, started: Callable[[Job], None] | None) -> Iterator[Outcome]:
        crew = Crew(max(self.threads, self.all_threads), self.logs)
        # An iteration that somebody still holds when the interpreter exits would wait for its workers for ever.
        atexit.register(crew.end)
        try:
            with handled(signal.default_int_handler):
                while True:
                    while crew.takes(self.workers) and (job := schedule.take()):
                        if job.alone and crew.busy:
                            schedule.back(job)
                            break
                        crew.idle().start(job, self.all_threads if job.alone else self.threads)
                        if started:
                            started(job)
                    if not crew.busy:
                        return
                    for outcome in crew.wait():
                        if outcome.interrupted:
                            raise KeyboardInterrupt
                        yield from schedule.end(outcome)
        finally:
            crew.end()
            atexit.unregister(crew.end)
