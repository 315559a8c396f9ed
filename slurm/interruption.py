"""Asking a running job to save its state and stop: the one thing that signal handlers and training loops share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)  # a time limit or a preemption that is near; a cancel

_requested = threading.Event()


class Interrupted(BaseException):
    """The job saved its state and stopped because it was asked to. No failure, so no ``Exception``."""


def requested() -> bool:
    """Whether this process was asked to stop; a training loop looks between two steps."""
    return _requested.is_set()


def request(number: int = 0, frame: FrameType | None = None) -> None:
    """Ask this process to stop, for good: also the handler of a signal."""
    _requested.set()


def listen() -> None:
    """Let :data:`SIGNALS` ask this process to stop. Of a job's own process, never of the command line."""
    for each in SIGNALS:
        signal.signal(each, request)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # those that came since held_back() come now


@contextmanager
def held_back() -> Iterator[None]:
    """Hold :data:`SIGNALS` back from this thread and from processes started inside, which get them in :func:`listen`.

    A scheduler signals all processes of a job at once, also one that has no handler yet and would die of it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
