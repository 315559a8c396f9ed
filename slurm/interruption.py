"""Asking a running job to save its state and stop: the one thing that signal handlers and training loops share."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | signal.Handlers
# A time limit or a preemption that is near; a cancel; a terminal that was closed.
SIGNALS = (signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP)
# Those that end a run on this machine, with what each does where nobody has given it another meaning.
ENDINGS: dict[signal.Signals, Handler] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}

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
        if each != signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN:  # under nohup it stays ignored
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


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let ``handler`` have :data:`ENDINGS`: in the main thread, and those that have no other meaning."""
    ours = threading.current_thread() is threading.main_thread()
    mine = [number for number, usual in ENDINGS.items() if ours and signal.getsignal(number) is usual]
    for number in mine:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, ENDINGS[number])


def request_first(number: int, frame: FrameType | None) -> None:
    """Ask this process to stop; the second time, stop it at once: a handler of signals.

    Raises
    ------
    KeyboardInterrupt: if this process was asked before, but on no SIGHUP: of a closed terminal several may come.
    """
    if requested():
        if number != signal.SIGHUP:
            raise KeyboardInterrupt
        return
    request()
    with suppress(OSError):  # the terminal may be gone; print() might be at work in the frame below
        os.write(2, b"interrupted: saving after this step; once more ends it at once\n")
