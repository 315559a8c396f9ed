"""One worker process: the handle that the parent holds, and the loop that the process runs."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from slurm.executor import Job, Outcome, attempt
from slurm.gpus import VARIABLE
from slurm.interruption import held_back, listen, request

GRACE_SECONDS = 5.0  # for one step and a checkpoint, between asking a worker to end and killing it
ORPHAN_SECONDS = 0.5  # between looks at whether the parent is still there
TAIL_LINES, TAIL_BYTES = 20, 16384  # of the log of a job whose process died


class Worker:
    """The parent's handle of a new worker process, which serves until its pipe is closed.

    Parameters
    ----------
    most_threads: the most threads that any of its jobs may use.
    logs: the folder for what its jobs print, or None to let it through.
    gpu: the only one that its jobs see, or None to change nothing.
    """

    def __init__(self, most_threads: int, logs: Path | None, gpu: str | None = None) -> None:
        context = get_context("spawn")  # a fork would copy the locks and threads of torch
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, os.getpid(), most_threads, logs, gpu))
        with held_back():
            resource_tracker.ensure_running()  # else start() does, and then lets SIGTERM through
        with held_back():
            self.process.start()
        theirs.close()
        self.logs, self.gpu = logs, gpu
        self.job: Job | None = None
        self._begin = 0.0

    @property
    def handles(self) -> list[Connection | int]:
        """What becomes ready when the job ends or the process dies."""
        return [self.pipe, self.process.sentinel]

    def start(self, job: Job, threads: int) -> None:
        """Hand over ``job``."""
        self.job, self._begin = job, time.perf_counter()
        with suppress(OSError):  # it died this moment, as look() will find
            self.pipe.send((job, threads))

    def interrupt(self) -> None:
        """Ask the job to save its state and stop; :meth:`look` tells how that ended."""
        self.process.terminate()

    def is_alive(self) -> bool:
        """Whether it can take a job, or has one whose end nobody has looked at."""
        return self.job is not None or self.process.is_alive()

    def look(self) -> Outcome | None:
        """Return how the job ended, or None while it runs."""
        job = self.job
        if job is None:
            return None
        alive = self.process.is_alive()  # asked first: what a dead process sent is in the pipe by now
        try:
            outcome: Outcome | None = self.pipe.recv() if self.pipe.poll() else None
            died = outcome is None and not alive
        except (EOFError, OSError):
            outcome, died = None, True
        if died:
            self.process.join(GRACE_SECONDS)  # it may be on its way out
            end([self])
            output = tail(self.logs / f"{job.id}.log") if self.logs else ""
            outcome = Outcome(job, False, self._cause(), output, time.perf_counter() - self._begin, died=True)
        if outcome:
            self.job = None
        return outcome

    def _cause(self) -> str:
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"the worker process exited with code {code} before the job ended"
        name = {int(known): known.name for known in signal.Signals}.get(-code, str(-code))
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"the worker process was killed by signal {name}{hint}"


def end(workers: Sequence[Worker]) -> None:
    """End ``workers``: an idle one leaves when its pipe closes, a busy one saves its state and leaves, or is killed."""
    for worker in workers:
        worker.pipe.close()
        if worker.job is not None:
            worker.interrupt()
    deadline = time.monotonic() + GRACE_SECONDS
    try:
        for worker in workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
    finally:  # also after a second Ctrl-C, of somebody who will not wait
        for worker in workers:
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _serve(pipe: Connection, parent: int, most_threads: int, logs: Path | None, gpu: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the parent decides
    listen()
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    # Numerical libraries read these once, when they are loaded: no job may exceed them later.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(most_threads)
    if gpu is not None:
        os.environ[VARIABLE] = gpu
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # else the last lines die with the process
    faulthandler.enable()  # a segmentation fault then says where
    while True:
        try:
            job, threads = pipe.recv()
        except EOFError:
            return
        with _output_to(logs / f"{job.id}.log" if logs else None):
            outcome = attempt(job, threads)
        with suppress(BrokenPipeError):  # the parent is gone, as the next look at the pipe tells
            pipe.send(outcome)


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    request()
    time.sleep(GRACE_SECONDS)
    os._exit(1)


@contextmanager
def _output_to(path: Path | None) -> Iterator[None]:
    """Send what this process and its children print to ``path``, compiled code included."""
    if path is None:
        yield
        return
    before = os.dup(1), os.dup(2)
    with path.open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for fd, saved in enumerate(before, start=1):
            os.dup2(saved, fd)
            os.close(saved)


def tail(path: Path) -> str:
    """Return the last lines of a log, "" if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-TAIL_LINES:])
