"""Programs in the foreground of sessions of their own, found again by their PIDs after Python has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 10.0  # between asking a daemon to end and killing it
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Process:
    """A process as ``/proc`` shows it. ``started`` (in clock ticks since boot) tells it from a later one of its PID."""

    pid: int
    name: str
    parent: int
    started: int


def look(pid: int) -> Process | None:
    """Return the process of this PID, or None if it has ended, even if nobody has waited for it yet."""
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    state, parent, *others = after.split()
    if state in "ZX":
        return None
    return Process(pid, before.partition("(")[2], int(parent), int(others[17]))


def running() -> Iterator[Process]:
    """Yield every process of this machine."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (process := look(int(folder.name))):
            yield process


def holds(process: Process, file: Path) -> bool:
    """Whether a process has ``file`` open."""
    try:
        return any(handle.readlink() == file for handle in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:  # it has ended, or is somebody else's
        return False


def with_descendants(processes: Sequence[Process]) -> list[Process]:
    """Return ``processes`` and all that they started, parents first."""
    every, family = list(running()), list(processes)
    for process in family:  # grows while we go through it
        family += [child for child in every if child.parent == process.pid]
    return family


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll ``condition``; return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def end(processes: Sequence[Process], how: signal.Signals) -> None:
    """End ``processes`` by a signal, and wait until they have ended; kill those that take too long."""
    left = list(processes)
    for each in (how, signal.SIGKILL):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, each)
        wait_until(lambda: not any(look(process.pid) == process for process in processes), END_SECONDS)
        left = [process for process in left if look(process.pid) == process]


class Daemon:
    """A program that runs until it is stopped, by whichever Python asks: its PID is kept in a file.

    ``name`` is that of its process, or ``PROCESS-SOMETHING``, and of its files below ``folder``: ``run/NAME.pid``
    and ``log/NAME.out``.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self._record, self._output = folder / "run" / f"{name}.pid", folder / "log" / f"{name}.out"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it with ``command``, which must stay in the foreground."""
        with self._output.open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                cwd=self.folder,
            )
        process = look(self._child.pid)
        self._record.write_text(f"{self._child.pid} {process.started if process else 0}\n")

    def process(self) -> Process | None:
        """Return the running process, or None. Another program that has its PID now is not it."""
        if self._child:
            self._child.poll()  # else it would stay a zombie as long as this Python runs
        try:
            pid, started = (int(word) for word in self._record.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        process = look(pid)
        own = process and process.started == started and process.name == self.name.partition("-")[0]
        return process if own else None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended; kill it if it takes too long. Nothing happens if it does not run."""
        if process := self.process():
            end([process], how)
            self.process()
        self._record.unlink(missing_ok=True)

    def printed(self) -> str:
        """Return what it printed."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""
