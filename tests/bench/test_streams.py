"""Standard streams as shells make them: closed, full, without a reader, in a coding of few characters."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import scan
from tests.bench.commandline import SMALL
from tests.leaderboard.fabricate import grid, plan, save

TASK = "moleculenet:bace"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of three methods, so that its report has arrows, a plus-minus and several pages of text."""
    cells = grid(4, [TASK])
    save(tmp_path, cells)
    plan(tmp_path, cells, ["finetune", "cp", "tapweight", "tapweight-null"], [TASK])
    return tmp_path


def shell(redirection: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run ``python -m bench WORDS REDIRECTION`` in bash; the exit code is that of the command, whatever reads it."""
    command = shlex.join([sys.executable, "-m", "bench", *map(str, words)])
    return subprocess.run(
        ["bash", "-c", f"{command} {redirection}; exit ${{PIPESTATUS[0]}}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
    )


@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-", "| true", "2>&1 | true"])
def test_nobody_reads_the_report(folder: Path, redirection: str) -> None:
    done = shell(redirection, "report", "--out", folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (folder / "leaderboard.md").is_file()


def test_a_wrong_request_stays_one(folder: Path) -> None:
    assert shell(">&-", "report", "--out", "/nowhere").returncode == 2
    assert shell("2>&-", "report", "--out", "/nowhere").returncode == 2
    assert shell("2>/dev/full", "report", "--out", "/nowhere").returncode == 2


def test_a_full_disk_is_said_after_the_work(folder: Path) -> None:
    done = shell(">/dev/full", "report", "--out", folder)
    assert done.returncode == 2
    assert done.stderr == b"error: standard output: No space left on device\n"
    assert (folder / "leaderboard.md").is_file()


@pytest.mark.parametrize("coding", ["latin-1", "utf-8"])
def test_characters_that_a_coding_lacks(folder: Path, coding: str) -> None:
    done = shell("", "report", "--out", folder, PYTHONIOENCODING=coding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert "\N{UPWARDS ARROW}" in text
    assert done.stdout.startswith(text.encode(coding, "replace"))


def test_a_run_without_streams_has_its_records(tmp_path: Path) -> None:
    """In two processes, which inherit the streams."""
    done = shell(
        ">&- 2>&-", "run", "--methods", "finetune", "--tasks", "demo:rings", "--seeds", "0", "--protocol", "smoke",
        *SMALL, "--out", tmp_path, "--jobs", "2", "--set", "start.steps=3",
    )  # fmt: skip
    assert done.returncode == 0
    assert len(scan(tmp_path).records) == 1
    assert not scan(tmp_path).failures
