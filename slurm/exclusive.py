"""One process at a time makes a file that many want, also where they run on different machines."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slurm import claims
from slurm.claims import Claim, Claims
from slurm.interruption import Interrupted, requested

WAIT_SECONDS = 1.0  # between looks at what somebody else makes


@contextmanager
def exclusive(folder: Path, name: str, made: Callable[[], bool]) -> Iterator[bool]:
    """Yield True in the one process that is to make ``name``, or False once ``made()`` says that it is there.

    Waits while another process makes it, and says so once; one that dies or fails is followed by the next. ``folder``
    holds the claims, see :mod:`slurm.claims`.

    Raises
    ------
    Interrupted: if this process is asked to stop while it waits.
    """
    held = Claims(folder, f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}")
    claim = _wait(held, name, made)
    if claim is None:
        yield False
        return
    left = threading.Event()
    beats = threading.Thread(target=_beat, args=(held, claim, left), daemon=True)
    beats.start()
    try:
        yield True
    except BaseException:
        _stop(beats, left)
        with suppress(OSError):  # it must not hide why
            held.release(claim)
        raise
    _stop(beats, left)
    held.end(claim)


def _wait(held: Claims, name: str, made: Callable[[], bool]) -> Claim | None:
    told = False
    while not made():
        if claim := held.take(name):
            if not made():
                return claim
            held.end(claim)  # it was made between the two looks
            return None
        if requested():
            raise Interrupted
        if not told and (holder := held.living().get(name)):
            told = True
            silent = held.silence(holder)
            print(
                f"waiting: {name} is being made by {holder.owner or 'somebody'} on {holder.host or 'some machine'}, "
                f"last sign of life {silent:.0f} s ago",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(WAIT_SECONDS)
    return None


def _beat(held: Claims, claim: Claim, left: threading.Event) -> None:
    while not left.wait(claims.BEAT_SECONDS):
        with suppress(OSError):  # a file system that is away for a moment
            held.beat(claim)


def _stop(beats: threading.Thread, left: threading.Event) -> None:
    left.set()
    beats.join()
