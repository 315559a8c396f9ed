"""Jobs side by side in processes of this machine; a process that dies takes one job with it."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from slurm.crew import Crew
from slurm.executor import Executor, Job, Outcome
from slurm.schedule import Schedule


class LocalProcesses(Executor):
    """``workers`` persistent processes, each with one job at a time and ``threads`` threads for it.

    A job that is ``alone`` and meets no other job that runs or could start has ``workers * threads``.
    With ``logs``, a job's standard output and error go to ``logs/JOBID.log``, written anew at each run.
    In the main thread SIGTERM ends a run as Ctrl-C does: jobs save their state first.
    """

    def __init__(self, workers: int, threads: int, logs: Path | None = None) -> None:
        self.workers, self.threads, self.logs = workers, threads, logs

    def run(self, jobs: Sequence[Job], started: Callable[[Job], None] | None = None) -> Iterator[Outcome]:
        """See :meth:`Executor.run`.

        Raises
        ------
        ValueError: as there.
        KeyboardInterrupt: as there, and on SIGTERM.
        OSError: if the folder of logs cannot be made.
        """
        schedule = Schedule(jobs)
        if self.logs:
            self.logs.mkdir(parents=True, exist_ok=True)
        return self._run(schedule, started)

    def _run(self, schedule: Schedule, started: Callable[[Job], None] | None) -> Iterator[Outcome]:
        crew = Crew(self.workers * self.threads, self.logs)
        # An iteration that somebody still holds when the interpreter exits would wait for its workers for ever.
        atexit.register(crew.end)
        try:
            with _terminated_as_interrupted():
                while True:
                    while len(crew.busy) < self.workers and (job := schedule.take()):
                        all_threads = job.alone and not schedule.has_company()
                        crew.idle().start(job, crew.most_threads if all_threads else self.threads)
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


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, where nobody has given it another meaning."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
