"""Claims: one owner at a time, whoever contends, crashes or falls silent.

This module is also the program of the contenders: ``python -m tests.slurm.test_claims FOLDER NUMBER``.
"""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slurm import claims
from slurm.claims import Claims, holders
from tests.conftest import ROOT

NAMES = [f"cell-{number:02}.x" for number in range(30)]
CONTENDERS = 16


def far(folder: Path, name: str, turn: int = 0) -> Path:
    """Let a claim be of another machine, where nobody can see whether its process lives; return its file."""
    path = folder / f"{name}.{turn}.json"
    beat = path.stat().st_mtime
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "far"}))
    os.utime(path, (beat, beat))
    return path


def silent(path: Path, seconds: float) -> None:
    """Move the last heartbeat into the past."""
    beat = path.stat().st_mtime - seconds
    os.utime(path, (beat, beat))


def test_one_owner_until_the_end(tmp_path: Path) -> None:
    first, second = Claims(tmp_path / "claims", "a"), Claims(tmp_path / "claims", "b")
    claim = first.take("x")
    assert claim
    assert claim.deaths == 0
    assert second.take("x") is None
    other = second.take("y")
    assert other
    assert {name: holder.owner for name, holder in holders(first.folder).items()} == {"x": "a", "y": "b"}
    assert holders(first.folder)["x"].since == claim.since
    first.end(claim)
    second.release(other)
    assert holders(first.folder) == {}
    again = second.take("x")
    assert again
    assert again.deaths == 0


def test_a_released_claim_counts_no_death_but_keeps_those_before(tmp_path: Path) -> None:
    first, second = Claims(tmp_path, "a"), Claims(tmp_path, "b")
    claim = first.take("x")
    assert claim
    first.died(claim)
    assert holders(tmp_path)["x"].deaths == claim.deaths == 1
    for turn, owner in enumerate([second, first, second, first], start=1):
        (first if owner is second else second).release(claim)
        claim = owner.take("x")
        assert claim
        assert (claim.turn, claim.deaths) == (turn, 1)
    first.end(claim)
    claim = second.take("x")
    assert claim
    assert claim.deaths == 0


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_keeps_nobody_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Claims(tmp_path, "a"), Claims(tmp_path, "b")
    with monkeypatch.context() as during:
        during.setattr(json, "dump", full_disk)
        with pytest.raises(OSError, match="No space left"):
            first.take("x")
    assert list(tmp_path.iterdir()) == []
    claim = second.take("x")
    assert claim
    with monkeypatch.context() as during:
        during.setattr(claims, "write_json", full_disk)
        second.release(claim)
    assert holders(tmp_path) == {}
    assert first.take("x")
    assert second.take("x") is None


@pytest.mark.parametrize(("asked", "deaths"), [(False, 1), (True, 0)])
def test_silence_is_death_unless_the_holder_had_been_asked_to_stop(tmp_path: Path, asked: bool, deaths: int) -> None:
    first, second = Claims(tmp_path, "a"), Claims(tmp_path, "b")
    claim = first.take("x")
    assert claim
    if asked:
        first.stopping(claim)
    path = far(tmp_path, "x")
    silent(path, claims.STALE_SECONDS - 10)
    assert second.take("x") is None
    assert first.beat(claim)
    silent(path, claims.STALE_SECONDS - 10)
    assert second.take("x") is None
    silent(path, 20)
    taken = second.take("x")
    assert taken
    assert taken.deaths == deaths
    # The one that was silent comes back: it has lost, and can spoil nothing.
    assert not first.beat(claim)
    before = holders(tmp_path)
    first.release(claim)
    first.died(claim)
    first.end(claim)
    assert holders(tmp_path) == before
    assert before["x"].owner == "b"


def test_the_same_owner_started_again_takes_over_at_once(tmp_path: Path) -> None:
    assert Claims(tmp_path, "a").take("x")
    far(tmp_path, "x")
    assert Claims(tmp_path, "b").take("x") is None
    claim = Claims(tmp_path, "a").take("x")
    assert claim
    assert claim.deaths == 1


def test_a_holder_that_is_gone_from_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from slurm.claims import Claims; Claims(Path(sys.argv[1]), 'a')"
    subprocess.run([sys.executable, "-c", f"{code}.take('x')", str(tmp_path)], cwd=ROOT, check=True)
    assert holders(tmp_path)["x"].owner == "a"
    claim = Claims(tmp_path, "b").take("x")
    assert claim
    assert claim.deaths == 1


def test_the_time_is_that_of_the_file_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Claims(tmp_path, "a")
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's clock is wrong
    (tmp_path / "x").touch()
    assert ours._now() == pytest.approx((tmp_path / "x").stat().st_mtime, abs=1)
    monkeypatch.undo()
    here = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: here + 30)
    assert ours._now() == pytest.approx((tmp_path / "x").stat().st_mtime + 30, abs=1)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"surprise": 1}'])
def test_a_claim_that_nobody_can_read_is_held_until_it_is_stale(tmp_path: Path, content: str) -> None:
    ours = Claims(tmp_path, "a")
    path = tmp_path / "x.0.json"
    path.write_text(content)
    assert ours.take("x") is None
    silent(path, claims.STALE_SECONDS + 10)
    claim = ours.take("x")
    assert claim
    assert claim.deaths == 0  # its writer died before it could begin


def test_a_heartbeat_elsewhere(tmp_path: Path) -> None:
    first, second = Claims(tmp_path, "a"), Claims(tmp_path, "b")
    claim = first.take("x")
    assert claim
    path = far(tmp_path, "x")
    silent(path, 10)
    assert second.take("x") is None
    assert not second.lives_elsewhere("x")  # it may be dead for all we know
    first.beat(claim)
    assert second.take("x") is None
    assert second.lives_elsewhere("x")
    silent(path, 3 * claims.BEAT_SECONDS)
    assert not second.lives_elsewhere("x")
    first.release(claim)
    assert not second.lives_elsewhere("x")


def crashes(folder: Path, at: int) -> bool:
    """Let a process claim, die at its ``at``-th operation on the file system, and say whether it came so far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    count = 0

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in {"open", "os.rename", "os.remove", "os.utime", "os.chmod"}:
            count += 1
            if count == at:
                os._exit(1)

    try:
        ours = Claims(folder, "a")
        sys.addaudithook(audit)
        claim = ours.take("x")
        assert claim
        ours.died(claim)
        ours.stopping(claim)
        ours.release(claim)
        claim = ours.take("x")
        assert claim
        (folder / "over").touch()
        ours.end(claim)
        (folder / "last").touch()
        os._exit(0)
    finally:
        os._exit(2)


def test_no_crash_between_two_operations_loses_a_claim_or_doubles_it(tmp_path: Path) -> None:
    at, seen = 1, set()
    while crashes(folder := tmp_path / str(at), at):
        for path in folder.glob("*.json"):
            silent(path, claims.STALE_SECONDS + 10)  # of an unreadable file nobody knows the process
        second, third = Claims(folder, "b"), Claims(folder, "c")
        claim = second.take("x")
        assert claim, at
        assert third.take("x") is None, at
        seen.add((claim.turn, claim.deaths, (folder / "over").exists()))
        second.end(claim)
        assert holders(folder) == {}, at
        at += 1
    assert at > 20
    # Before all, held, a death counted, asked to stop or free, held again (one more death), over.
    assert seen >= {(0, 0, False), (1, 1, False), (1, 2, False), (1, 1, False), (2, 2, False), (2, 2, True)}


@pytest.mark.parametrize("before", ["fresh", "stale"])
def test_contenders(tmp_path: Path, before: str) -> None:
    folder = tmp_path / "claims"
    if before == "stale":
        dead = Claims(folder, "dead")
        for name in NAMES:
            assert dead.take(name)
            silent(far(folder, name), claims.STALE_SECONDS + 10)
    command = [sys.executable, "-m", "tests.slurm.test_claims", str(tmp_path)]
    contenders = [subprocess.Popen([*command, str(number)], cwd=ROOT) for number in range(CONTENDERS)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready-*"))) < CONTENDERS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "go").touch()
    codes = [contender.wait(timeout=60) for contender in contenders]
    died = [line for path in tmp_path.glob("died-*") for line in path.read_text().split()]
    assert codes == [9 if number % 2 and (tmp_path / f"died-{number}").exists() else 0 for number in range(CONTENDERS)]
    assert died  # else this shows less than it should
    for name in NAMES:
        # Done once, and every death on the way was counted.
        (deaths,) = (tmp_path / f"{name}.done").read_text().split()
        assert int(deaths) == died.count(name) + (before == "stale"), name
    assert holders(folder) == {}


def contend(folder: Path, number: int) -> None:
    """Do all that is to do, as one of many; those of odd numbers die while they hold their first claim."""
    ours, draws = Claims(folder / "claims", f"contender {number}"), random.Random(number)
    (folder / f"ready-{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.001)
    left = list(NAMES)
    while left:
        draws.shuffle(left)
        for name in list(left):
            done = folder / f"{name}.done"
            if not done.exists() and (claim := ours.take(name)):
                if not done.exists():
                    (folder / f"{name}.busy").touch(exist_ok=False)  # nobody else is at it
                    time.sleep(draws.uniform(0, 0.003))
                    (folder / f"{name}.busy").unlink()
                    if number % 2:
                        (folder / f"died-{number}").write_text(name)
                        os._exit(9)
                    with done.open("a") as file:
                        file.write(f"{claim.deaths}\n")
                ours.end(claim)
            if done.exists():
                left.remove(name)


if __name__ == "__main__":
    contend(Path(sys.argv[1]), int(sys.argv[2]))
