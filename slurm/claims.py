"""Who does a piece of work, where many processes on many machines share nothing but a folder.

A claim on NAME is a file ``NAME.TURN.json`` with who holds it, since when, and how often a holder died. Whoever
created the last turn holds NAME; the next turn may be created once that one is free or its holder is dead. Files are
created exclusively, which file systems of clusters do atomically where they may have no locks: of all that find a
turn free, however late they act on it, one gets the next. So no turn is deleted but by its holder on a full disk, and
a free one does not tell whether the work is over: write that elsewhere, then call :meth:`Claims.end`, and look for it
after each :meth:`Claims.take`.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.files import write_json

STALE_SECONDS = 300.0  # without a heartbeat, until a holder is taken for dead
BEAT_SECONDS = 20.0  # between two heartbeats
CLOCK_SECONDS = 60.0  # between two looks at the clock of the file server


@dataclass
class Claim:
    """A turn on ``name``; ``deaths`` counts the holders that died before, and attempts of this one that did."""

    name: str
    turn: int
    deaths: int
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Holder:
    """What the file of a turn says. ``state``: "held", "stopping" (asked to, so no death if it is killed), "free"."""

    owner: str = ""
    host: str = ""
    process: str = ""
    since: str = ""
    deaths: int = 0
    state: str = "held"
    turn: int = 0
    beat: float = 0.0  # of the last heartbeat, by the clock of the file server


class Claims:
    """The claims in ``folder``, as one owner sees them.

    Parameters
    ----------
    folder: made if it is missing.
    owner: a name that no other living process uses; one that starts again under its name takes its claims over.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.owner = folder, owner
        self._host, self._process = socket.gethostname(), _process("self")
        self._clock = (-CLOCK_SECONDS, 0.0)  # this machine's and the server's time at the last look
        self._beats: dict[str, tuple[int, float]] = {}  # of others' claims, when first seen

    def take(self, name: str) -> Claim | None:
        """Take the next turn on ``name``, or return None if somebody else holds it.

        Raises
        ------
        OSError: if its file cannot be written; then nobody holds it.
        """
        last, deaths = self._last(name)
        turn = 0
        if last:
            free = last.state == "free"
            if not free and last.owner != self.owner and not self._departed(last):
                self._beats.setdefault(name, (last.turn, last.beat))
                return None
            turn, deaths = last.turn + 1, deaths + (last.state == "held" and bool(last.owner))
        claim, path = Claim(name, turn, deaths), self._path(name, turn)
        try:
            file = path.open("x", encoding="utf-8")
        except FileExistsError:  # somebody was faster
            return None
        try:
            with file:
                json.dump(self._content(claim, "held"), file)
        except BaseException:  # a full disk: an empty file would keep everybody off
            path.unlink(missing_ok=True)
            raise
        return claim

    def lives_elsewhere(self, name: str) -> bool:
        """Whether a holder sends heartbeats: seen only some time after :meth:`take` first found one."""
        last, _ = self._last(name)
        if last is None or last.state == "free" or self._now() - last.beat > 2 * BEAT_SECONDS:
            return False
        return self._beats.get(name, (last.turn, last.beat)) != (last.turn, last.beat)

    def living(self) -> dict[str, Holder]:
        """Return the last turn of each name, of those that are held by somebody who is not known to be dead."""
        return {name: holder for name, holder in holders(self.folder).items() if not self._departed(holder)}

    def silence(self, holder: Holder) -> float:
        """Return the seconds since the last sign of life of ``holder``."""
        return max(0.0, self._now() - holder.beat)

    def beat(self, claim: Claim) -> bool:
        """Send a heartbeat; return whether the claim still holds, as it does not after a very long silence."""
        with suppress(FileNotFoundError):
            os.utime(self._path(claim.name, claim.turn))
            return not self._path(claim.name, claim.turn + 1).exists()
        return False

    def died(self, claim: Claim) -> None:
        """Count a death: what held the claim for this owner is gone, and the owner tries again."""
        claim.deaths += 1
        self._write(claim, "held")

    def stopping(self, claim: Claim) -> None:
        """Note that the holder was asked to stop: if it is killed before it has, that counts as no death."""
        self._write(claim, "stopping")

    def release(self, claim: Claim) -> None:
        """Let anybody take the next turn at once."""
        try:
            self._write(claim, "free")
        except OSError:  # a full disk: without the file, this turn is the next
            self._path(claim.name, claim.turn).unlink(missing_ok=True)

    def end(self, claim: Claim) -> None:
        """Forget the deaths and let go: the work is over, and somewhere it is written that it is."""
        claim.deaths = 0
        self.release(claim)

    def _write(self, claim: Claim, state: str) -> None:
        if self.beat(claim):
            write_json(self._path(claim.name, claim.turn), self._content(claim, state))

    def _content(self, claim: Claim, state: str) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "host": self._host,
            "process": self._process,
            "since": claim.since,
            "deaths": claim.deaths,
            "state": state,
        }

    def _path(self, name: str, turn: int) -> Path:
        return self.folder / f"{name}.{turn}.json"

    def _last(self, name: str) -> tuple[Holder | None, int]:
        """Return the last turn, and the deaths that the last turn which can be read tells of."""
        last, deaths, turn = None, 0, 0
        while found := read(self._path(name, turn), turn):
            last, deaths, turn = found, found.deaths if found.owner else deaths, turn + 1
        return last, deaths

    def _departed(self, holder: Holder) -> bool:
        """Whether ``holder`` is dead: gone from this machine, or silent for too long."""
        if holder.process and (holder.host, _space(holder.process)) == (self._host, _space(self._process)):
            number = holder.process.split()[1]
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                return True
            except PermissionError:  # of another user, whom the system may hide
                pass
            else:
                if _process(number) != holder.process:
                    return True
        return self.silence(holder) > STALE_SECONDS

    def _now(self) -> float:
        """Return the time by the clock of the file server, which stamps the heartbeats."""
        here = time.monotonic()
        if here - self._clock[0] >= CLOCK_SECONDS:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                self._clock = (here, os.fstat(file.fileno()).st_mtime)
        return self._clock[1] + here - self._clock[0]


def read(path: Path, turn: int = 0) -> Holder | None:
    """Return what the file of a turn says, None if there is none.

    A holder without a name: the file is being written at this moment, or was when the writer died.
    """
    try:
        with path.open(encoding="utf-8") as file:
            beat = os.fstat(file.fileno()).st_mtime  # of an open file: caches of network file systems lag behind
            text = file.read()
    except FileNotFoundError:
        return None
    try:
        return Holder(**json.loads(text), turn=turn, beat=beat)
    except (ValueError, TypeError):
        return Holder(turn=turn, beat=beat)


def holders(folder: Path) -> dict[str, Holder]:
    """Return the last turn of each name, of those that are not free."""
    last: dict[str, Holder] = {}
    for path in folder.glob("*.json"):
        name, _, turn = path.stem.rpartition(".")
        if turn.isdecimal() and (name not in last or last[name].turn < int(turn)) and (found := read(path, int(turn))):
            last[name] = found
    return {name: holder for name, holder in last.items() if holder.state != "free"}


def _process(number: str) -> str:
    """Name a living process as no other of this machine is ever named; "" if it is gone, or where nothing tells."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8")
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{space} {stat.split()[0]} {rest[18]}"  # number, start in ticks since boot


def _space(process: str) -> str:
    return process.split()[0] if process else ""
