"""The choice between the executors of one machine."""

from __future__ import annotations

from pathlib import Path

from bench.errors import RequestError
from slurm.executor import Executor
from slurm.inline import InProcess
from slurm.processes import LocalProcesses


def choose(jobs: int, threads_total: int, logs: Path | None = None) -> Executor:
    """Return the local executor that runs ``jobs`` jobs at a time on ``threads_total`` threads.

    With one job at a time that is this process; ``logs`` then has no effect, see ``LocalProcesses``.

    Raises
    ------
    RequestError: if ``jobs`` is below 1.
    """
    if jobs < 1:
        raise RequestError(f"jobs: expected at least 1, got {jobs}")
    if jobs == 1:
        return InProcess(threads_total)
    return LocalProcesses(jobs, max(1, threads_total // jobs), logs, all_threads=threads_total)
