"""Many processes start at once on one cache folder: one builds what is missing, the others wait and find it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def building(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from building in ``folder`` at the same time; wait for one that does.

    A lock goes with the process that holds it. Where the file system has none, or the folder cannot be written,
    nobody is kept off: what is built is written whole or not at all, so building it twice costs time alone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "building.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting: another process prepares data in {folder}")
            lock.acquire()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        lock.release()
