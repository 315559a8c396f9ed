"""The bar on a terminal and the lines in a log."""

from __future__ import annotations

import io
import re
import sys

import pytest

from bench.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def sweep(progress: Progress) -> None:
    with progress:
        progress.started("tapweight moleculenet:bace seed 3")
        progress.started("cp [red]moleculenet:bace[/red] seed 3")
        progress.finished("tapweight moleculenet:bace seed 3", True, 94.123)
        progress.finished("cp [red]moleculenet:bace[/red] seed 3", False, 0.04, "ValueError: no")
        progress.finished("never started", False, 0.0, "needs x, which failed: y")


def plain(text: str) -> list[str]:
    """What a terminal was sent, without the control codes; carriage returns and cursor moves start lines."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", text).splitlines()


def test_a_log_gets_a_line_for_each_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as many CI systems set it: a log is still no terminal
    log = io.StringIO()
    sweep(Progress(60, log))
    lines = [re.sub(r"\d\d:\d\d:\d\d", "TIME", line) for line in log.getvalue().splitlines()]
    assert lines == [
        "[  1/60] TIME done  tapweight moleculenet:bace seed 3 (94.1 s)",
        "[  2/60] TIME failed cp [red]moleculenet:bace[/red] seed 3 (0.0 s): ValueError: no",
        "[  3/60] TIME failed never started (0.0 s): needs x, which failed: y",
    ]
    assert "\x1b" not in log.getvalue()
    assert "\r" not in log.getvalue()


def test_the_elapsed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    times = iter([0.0, 1000.0, 1000.0 + 26 * 3600 + 3 * 60 + 41.9])
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: next(times))
    with Progress(1000, log) as progress:
        progress.finished("a", True, 1.0)
    assert log.getvalue() == "[   1/1000] 26:03:41 done  a (1.0 s)\n"


def test_a_log_is_written_line_by_line() -> None:
    buffer = io.BytesIO()
    with Progress(2, io.TextIOWrapper(buffer)) as progress:
        progress.finished("a", True, 1.0)
        assert buffer.getvalue().endswith(b"done  a (1.0 s)\n")


def test_a_terminal_gets_a_bar(terminal: Terminal) -> None:
    sweep(Progress(3, terminal))
    text = terminal.getvalue()
    assert "\x1b[" in text
    lines = [line.strip() for line in plain(text)]
    # Above the bar, whole: the failures, with brackets taken as they are.
    assert lines.count("failed cp [red]moleculenet:bace[/red] seed 3 (0.0 s): ValueError: no") == 1
    assert "3/3" in " ".join(lines)
    assert "1 done, 2 failed" in " ".join(lines)
    assert re.search(r"\d:\d\d:\d\d", text)
    assert text.endswith("\n\x1b[?25h")  # the next line is free, and the cursor is back
    assert text.count("\x1b[?25l") == 1


def test_the_bar_tells_what_runs_and_what_ran_last(terminal: Terminal) -> None:
    with Progress(3, terminal) as progress:
        progress.started("first [x]")
        progress.started("second")
        progress.finished("first [x]", True, 2.0)
        assert progress._live is not None
        progress._live.refresh()
        shown = plain(terminal.getvalue())
    assert [line for line in shown if line.startswith("running ")][-1] == "running second"
    assert [line for line in shown if line.startswith("last ")][-1] == "last    done  first [x] (2.0 s)"


def test_the_bar_goes_away_with_an_error(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), Progress(3, terminal):
        raise KeyboardInterrupt
    assert terminal.getvalue().count("\x1b[?25h") == 1
    assert sys.stdout is not None


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    sweep(Progress(3, stream))
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 3


def test_output_that_goes_to_a_file_stays_there(terminal: Terminal, capfd: pytest.CaptureFixture[str]) -> None:
    with Progress(1, terminal):
        print("a result")
    assert capfd.readouterr().out == "a result\n"
    assert "a result" not in terminal.getvalue()
