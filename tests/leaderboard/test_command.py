"""The report command on a terminal and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.leaderboard.fabricate import grid, save

COMMAND = [sys.executable, "-m", "bench", "report", "--out"]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods and a control x five seeds on two tasks."""
    path = tmp_path_factory.mktemp("run")
    save(path, grid())
    return path


def on_a_terminal(folder: Path, columns: int) -> str:
    """What the command prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    child = subprocess.Popen(
        [*COMMAND, str(folder)], stdout=theirs, stdin=theirs, env=environment | {"TERM": "xterm-256color"}
    )
    os.close(theirs)
    found = b""
    try:
        while part := os.read(ours, 65_536):
            found += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert child.wait() == 0
    return found.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_the_leaderboard_has_colours_and_keeps_to_the_width(folder: Path, columns: int) -> None:
    printed = on_a_terminal(folder, columns)
    report, wrote = printed.split("\nwrote ", 1)
    text = ESCAPE.sub("", report)
    assert "\x1b[31m" in report  # a method that is worse than the focus
    assert "\x1b[1m" in report
    assert "**" not in text
    assert max(map(cell_len, text.splitlines())) <= columns
    rules = [len(line.strip()) for line in text.splitlines() if set(line.strip()) == {"─"}]
    assert max(rules) > 80 or columns == 80
    for words in ("Leaderboard", "tapweight (focus)", "Ranking", "Pictures: pictures/"):
        assert words in text
    assert "report.json" in wrote
    assert "tables as CSV, HTML, JSON and LaTeX" in wrote


def test_in_a_pipe_it_is_the_markdown_file(folder: Path) -> None:
    done = subprocess.run([*COMMAND, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith((folder / "leaderboard.md").read_text(encoding="utf-8"))
    assert "\x1b" not in done.stdout
