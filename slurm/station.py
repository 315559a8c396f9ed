"""What submitit runs in each array task: works through a group's jobs; saves, stops and is queued again on a signal."""

from __future__ import annotations

import os
import platform
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from bench.errors import NotPreparedError
from bench.files import home
from slurm.shift import STOP_SECONDS, Shift
from slurm.submission import Submission
from slurm.worker import GRACE_SECONDS

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

LOOK_SECONDS = 0.1
LINGER_SECONDS = 90.0  # after a signal to end: whoever sent it will kill this task, and may queue it again himself


@dataclass
class Station:
    """Plain values only, so that its pickle is small and holds nothing of a running task.

    Parameters
    ----------
    out: the run folder, on a file system that all nodes share.
    submission: the id, see :class:`slurm.submission.Submission`.
    group: the group whose jobs it runs.
    pack: how many it runs at a time, one process each.
    threads: of each job.
    environment: variables that its processes find before they load anything.
    needed: whether other groups wait for this one, so that the task must fail if a job does.
    """

    out: Path
    submission: str
    group: str
    pack: int
    threads: int
    environment: Mapping[str, str]
    needed: bool = False
    _shift: Shift | None = field(default=None, init=False, repr=False, compare=False)
    _over: bool = field(default=False, init=False, repr=False, compare=False)

    def __call__(self) -> None:
        """Run jobs until none is left.

        Raises
        ------
        NotPreparedError: if a folder is missing on this node, or cannot be written.
        RuntimeError: if it was interrupted, or if ``needed`` and a job has not succeeded.
        """
        os.environ.update(self.environment)
        _check_folder(self.out, "the run folder (--out)")
        _check_folder(home(), "the cache (BENCH_HOME)")
        jobs = Submission(self.out, self.submission).jobs(self.group)
        self._shift = Shift(self.out, self.submission, jobs, self.pack, self.threads, _owner(), self.needed)
        signal.signal(signal.SIGTERM, self._end)
        self._work(self._shift)
        if self._shift.interrupted:
            # The signal that asked the jobs may reach this process after them; its handler does not return.
            _sleep(LINGER_SECONDS)
            raise RuntimeError("interrupted before all jobs had ended")
        if self.needed and (failures := self._shift.failures()):
            raise RuntimeError(f"needed by other groups, but not all jobs succeeded: {'; '.join(failures)}")

    def checkpoint(self) -> DelayedSubmission:
        """Let the jobs save their state and stop; return what the array task goes on with when it starts again.

        submitit calls this in the handler of the signal for a time limit or a preemption.
        """
        from submitit.helpers import DelayedSubmission

        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # a second one must not queue the task twice
        if self._shift:
            self._shift.ask_to_stop()
            deadline = time.monotonic() + STOP_SECONDS + 2 * GRACE_SECONDS
            while not self._over and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        return DelayedSubmission(replace(self))

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self._shift:
            self._shift.ask_to_stop()

    def _work(self, shift: Shift) -> None:
        """Run ``shift`` in a thread, so that signal handlers find this one asleep and holding no lock."""
        errors: list[BaseException] = []

        def work() -> None:
            try:
                shift.run()
            except BaseException as error:
                errors.append(error)
            finally:
                self._over = True

        threading.Thread(target=work, daemon=True).start()
        while not self._over:
            time.sleep(LOOK_SECONDS)
        if errors:
            raise errors[0]


def _sleep(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:  # in short sleeps: another thread may have got the signal
        time.sleep(LOOK_SECONDS)


def _check_folder(path: Path, what: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise NotPreparedError(
            f"{what}: expected a folder that node {platform.node()} can write, got {path} ({error.strerror}); "
            "it must lie on a file system that all nodes share"
        ) from error


def _owner() -> str:
    """Return the name of this array task, which it keeps when it is queued again; outside of one, a unique name."""
    from submitit import JobEnvironment

    try:
        environment = JobEnvironment()
    except RuntimeError:
        return f"{platform.node()} {os.getpid()} {uuid.uuid4().hex}"
    return f"{environment.cluster} {environment.job_id}"
