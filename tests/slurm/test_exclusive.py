"""One process makes what many want.

This module is also the program of each: ``python -m tests.slurm.test_exclusive FOLDER HOW``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from slurm import claims, interruption
from slurm import exclusive as exclusive_module
from slurm.claims import holders
from slurm.exclusive import exclusive
from tests.conftest import ROOT
from tests.slurm.test_claims import far, silent
from tests.slurm.test_processes import until


def start(folder: Path, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.slurm.test_exclusive", str(folder), how], cwd=ROOT)


def attempts(folder: Path) -> list[str]:
    path = folder / "attempts"
    return path.read_text().split() if path.exists() else []


def make(folder: Path, how: str) -> None:
    """Make a file where it is not there: well, or dying or failing on the way."""
    with exclusive(folder / "claims", "thing", (folder / "thing").exists) as mine:
        if not mine:
            return
        (folder / "busy").touch(exist_ok=False)
        with (folder / "attempts").open("a") as file:
            file.write(f"{how}\n")
        if how == "dies":
            (folder / "busy").unlink()
            os._exit(9)
        time.sleep(0.3)
        (folder / "busy").unlink()
        if how == "fails":
            raise OSError("no")
        (folder / "thing").touch()


def test_made_once_for_all(tmp_path: Path) -> None:
    everyone = [start(tmp_path, "makes") for _ in range(6)]
    assert [each.wait(timeout=60) for each in everyone] == [0] * 6
    assert attempts(tmp_path) == ["makes"]
    assert holders(tmp_path / "claims") == {}


@pytest.mark.parametrize("how", ["dies", "fails"])
def test_the_next_one_follows_at_once(tmp_path: Path, how: str) -> None:
    first = start(tmp_path, how)
    until(lambda: attempts(tmp_path) == [how], "the first attempt")
    make(tmp_path, "makes")
    assert attempts(tmp_path) == [how, "makes"]
    assert first.wait() != 0


def test_a_heartbeat_goes_on_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)
    path = tmp_path / "thing.0.json"
    with exclusive(tmp_path, "thing", lambda: False) as mine:
        assert mine
        os.utime(path, (0, 0))
        until(lambda: path.stat().st_mtime > 0, "a heartbeat")
    assert not [each for each in threading.enumerate() if each.name.endswith("(_beat)")]


def test_asked_to_stop_while_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    with exclusive(tmp_path, "thing", lambda: False) as mine:
        assert mine
        interruption.request()
        with (
            pytest.raises(interruption.Interrupted),
            exclusive(tmp_path, "thing", lambda: False),
        ):
            pytest.fail("two at once")


def test_it_says_once_for_whom_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exclusive_module, "WAIT_SECONDS", 0.01)
    assert claims.Claims(tmp_path, "slurm 7_1").take("thing")
    silent(far(tmp_path, "thing"), 40)
    looks = iter([False] * 6)
    with exclusive(tmp_path, "thing", lambda: next(looks, True)) as mine:
        assert not mine
    said = "waiting: thing is being made by slurm 7_1 on far, last sign of life 4[01] s ago\n"
    assert re.fullmatch(said, capsys.readouterr().err)
    with exclusive(tmp_path, "other", lambda: False) as mine:
        assert mine
    assert capsys.readouterr().err == ""


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2])
