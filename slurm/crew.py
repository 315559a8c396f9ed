"""A number of workers: who is free, who is busy, and nobody left behind."""

from __future__ import annotations

import time
from multiprocessing.connection import wait
from pathlib import Path

from slurm.executor import Outcome
from slurm.gpus import least_used, visible
from slurm.worker import Worker, end

LOOK_SECONDS = 1.0  # a dead worker is seen at once, unless a process that it forked holds its pipe open


class Crew:
    """Workers, started as they are needed; each keeps to one GPU, and they share those that there are.

    Parameters
    ----------
    most_threads: the most threads that any job may use.
    logs: the folder for what the jobs print, or None to let it through.
    """

    def __init__(self, most_threads: int, logs: Path | None) -> None:
        self.most_threads, self.logs = most_threads, logs
        self._gpus = visible()
        self._workers: list[Worker] = []

    @property
    def busy(self) -> list[Worker]:
        """Those that have a job."""
        return [worker for worker in self._workers if worker.job]

    def takes(self, most: int) -> bool:
        """Whether another job may start, of ``most`` at a time and none beside one that is alone."""
        running = [worker.job for worker in self._workers if worker.job]
        return len(running) < most and not any(job.alone for job in running)

    def idle(self) -> Worker:
        """Return a worker without a job: one that is there, else a new one, in the place of any that died."""
        for dead in [worker for worker in self._workers if not worker.is_alive()]:
            end([dead])
            self._workers.remove(dead)
        for worker in self._workers:
            if worker.job is None:
                return worker
        gpu = least_used(self._gpus, [worker.gpu for worker in self._workers])
        self._workers.append(Worker(self.most_threads, self.logs, gpu))
        return self._workers[-1]

    def wait(self) -> list[Outcome]:
        """Wait until a job ends, or a moment; return how those ended that did."""
        if not self.busy:
            time.sleep(LOOK_SECONDS)
            return []
        wait([handle for worker in self.busy for handle in worker.handles], LOOK_SECONDS)
        return [outcome for worker in self.busy if (outcome := worker.look())]

    def end(self) -> None:
        """End all of them, see :func:`slurm.worker.end`."""
        end(self._workers)
        self._workers.clear()
