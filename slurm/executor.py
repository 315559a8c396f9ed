"""What runs, and the interface of everything that runs it: this process, local processes, a cluster."""

from __future__ import annotations

import importlib
import json
import os
import re
import textwrap
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from slurm.interruption import Interrupted, requested

REASON_LENGTH = 400  # characters of a one-line reason
INTERRUPTED = "interrupted; it goes on from its last checkpoint"
_allowed: ContextVar[int] = ContextVar("allowed_threads")


@dataclass(frozen=True)
class Job:
    """One piece of work: a function called by name with plain values, so that any machine can run it.

    Parameters
    ----------
    id: unique among the jobs of a run, and safe as a file name.
    title: what a person reads.
    function: ``"package.module:callable"``, imported where the job runs. It gets ``payload`` as a new
        dictionary and fails by raising; what it returns is dropped, since results are files.
    payload: JSON values only.
    needs: ids of the jobs that must have succeeded before.
    alone: nothing runs beside this job, as most else waits for it; so it may use all threads.
    kind: what is alike in its needs of time and memory, such as ``cell-small``; jobs of one kind are launched together.
    seconds: how long it is expected to take, None where nothing tells.
    memory_bytes: the resident memory that it is expected to need, None where nothing tells.
    on_failure: ``"package.module:callable"`` for a job that died before it could say why: it gets the payload,
        a one-line reason and the tail of the job's output.

    Raises
    ------
    ValueError: if the id is no safe file name, or the payload holds something that is no JSON value.
    """

    id: str
    title: str
    function: str
    payload: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    alone: bool = False
    kind: str = "job"
    seconds: float | None = None
    memory_bytes: int | None = None
    on_failure: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.,:=+@-]{0,199}", self.id):
            raise ValueError(f"id: expected letters, digits and .,:=+@-_ (200 at most), got {self.id!r}")
        try:
            json.dumps(self.payload, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"payload of {self.id}: expected JSON values, got {error}") from error


@dataclass(frozen=True)
class Outcome:
    """How a job ended. ``ok`` says that its function returned; whether there is a result, the files say.

    ``interrupted``: it was asked to stop, has saved its state and can go on later; that is no failure.
    ``died``: its process ended before the function could return or raise; ``traceback`` is the tail of its output.
    """

    job: Job
    ok: bool
    reason: str = ""  # one line
    traceback: str = ""
    seconds: float = 0.0
    interrupted: bool = False
    died: bool = False


class Executor(ABC):
    """Runs jobs somewhere."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], started: Callable[[Job], None] | None = None) -> Iterator[Outcome]:
        """Run ``jobs``; yield one outcome for each as it ends, in the order of ending.

        A failing job stops nothing but the jobs that need it: those are not run, and end with the
        reason ``needs TITLE, which failed: REASON``. Jobs that are free to run start in the order given.
        ``started`` is called with each job as it starts. Leaving the iteration early ends what still runs,
        after a moment in which it may save its state.

        Raises
        ------
        ValueError: before anything starts, if ids repeat, a need is not among ``jobs``, or needs form a cycle.
        KeyboardInterrupt: if somebody else asked a job to stop, such as a scheduler that ends all processes.
        """


def available_threads() -> int:
    """The threads this process may use: ``$OMP_NUM_THREADS`` if it is set, else its cores."""
    wished = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wished.isdigit() and int(wished) > 0:
        return int(wished)
    return cores()


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def allowed_threads() -> int:
    """The threads that the running job may use; it applies them itself (``torch.set_num_threads``).

    Outside a job, :func:`available_threads`.
    """
    return _allowed.get(None) or available_threads()


def named(function: str) -> Callable[..., Any]:
    """Import what ``"package.module:callable"`` names."""
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def attempt(job: Job, threads: int) -> Outcome:
    """Run ``job`` in this process with ``threads`` threads allowed; its exceptions become the outcome.

    ``KeyboardInterrupt`` and ``SystemExit`` pass. A process that was asked to stop starts nothing.
    """
    if requested():
        return Outcome(job, False, INTERRUPTED, interrupted=True)
    token = _allowed.set(threads)
    begin = time.perf_counter()
    try:
        # A round trip through JSON, so that a job sees the same values wherever it runs.
        named(job.function)(json.loads(json.dumps(job.payload)))
    except Interrupted:
        return Outcome(job, False, INTERRUPTED, seconds=time.perf_counter() - begin, interrupted=True)
    except Exception as error:
        return Outcome(job, False, _reason(error), traceback.format_exc(), time.perf_counter() - begin)
    finally:
        _allowed.reset(token)
    return Outcome(job, True, seconds=time.perf_counter() - begin)


def _reason(error: Exception) -> str:
    kind, message = type(error).__name__, str(error)
    if not (isinstance(error, BenchError) and message):
        message = f"{kind}: {message}" if message else kind
    return textwrap.shorten(message, REASON_LENGTH, placeholder=" ...")
