"""The report on a terminal."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from leaderboard.content import Report
from leaderboard.tables.terminal import show
from tests.leaderboard.tables import made

TASKS = [f"moleculenet:task{number}" for number in range(13)]


def shown(report: Report, width: int, terminal: bool = False) -> str:
    file = StringIO()
    colours = "standard" if terminal else None
    show(report, Console(file=file, width=width, force_terminal=terminal, color_system=colours, highlight=False))  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = shown(made.report(made.board(tasks=TASKS)), width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for task in TASKS:
        assert task.partition(":")[2] in text


def test_wide_suites_stand_in_blocks_that_name_their_rows() -> None:
    report = made.report(made.board(tasks=TASKS, published=[]))
    suite = shown(report, 100).split("over all tasks")[0]
    blocks = suite.count("tapweight (focus)")
    assert 4 <= blocks <= 6
    assert suite.count("finetune ") >= blocks
    assert shown(report, 1000).split("over all tasks")[0].count("tapweight (focus)") == 1


def test_blocks_are_about_equally_wide() -> None:
    lines = shown(made.report(made.board(tasks=TASKS, published=[])), 140).split("over all tasks")[0].splitlines()
    rules = [len(line.strip()) for line in lines if set(line.strip()) == {"─"}]
    assert len(rules) > 1
    assert min(rules) > 0.6 * max(rules)


def test_colours_only_on_a_terminal() -> None:
    report = made.report()
    plain, coloured = shown(report, 100), shown(report, 100, terminal=True)
    assert "\x1b" not in plain
    assert "**0.775 ± 0.013** (5)" in plain
    assert re.search(r"\x1b\[1m *0.775 ± 0.013\x1b\[0m \(5\)", coloured)
    assert "\x1b[31m ▼\x1b[0m" in coloured
    assert "**" not in coloured
    (published, *_) = (line for line in coloured.splitlines() if "TapWeight [1]" in line)
    assert "\x1b[2m" in published


def test_names_neither_steer_the_terminal_nor_are_markup() -> None:
    report = made.report(made.board(["[red]x[/red]", "\x1b[31mred\x07", "tapweight"]), damaged=["\x1b]0;title\x07"])
    text = shown(report, 200)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]x[/red]" in text
