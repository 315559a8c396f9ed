"""How far a run is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text


class Progress:
    """Count jobs as they end and say which ones run.

    On a terminal: a bar with the elapsed time, the counts, what ended last and what runs; failures and
    notes stay as lines above it. Elsewhere: one line for each job that ends, without control codes.

    Parameters
    ----------
    total: the number of jobs.
    stream: where to write; standard error if None.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.done, self.failed = total, 0, 0
        self._stream = stream or sys.stderr
        self._begin = time.monotonic()
        self._running: list[str] = []
        self._last = ""
        self._live: Live | None = None
        console = Console(file=self._stream, force_terminal=True, highlight=False)
        # Asked of the stream: rich itself takes a log for a terminal where $FORCE_COLOR is set.
        if self._stream.isatty() and not console.is_dumb_terminal:
            self._bar = Bar(
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.description}"),
                TimeElapsedColumn(),
                console=console,
            )
            self._task = self._bar.add_task("", total=total)
            # Standard output may be a file, whose lines must not turn up on the terminal instead.
            self._live = Live(
                console=console, get_renderable=self._view, refresh_per_second=4, redirect_stdout=sys.stdout.isatty()
            )

    def __enter__(self) -> Progress:
        self._begin = time.monotonic()
        if self._live:
            self._bar.reset(self._task)
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        if self._live:
            self._live.stop()

    def started(self, title: str) -> None:
        """Show the job ``title`` as running."""
        self._running.append(title)

    def finished(self, title: str, ok: bool, seconds: float, reason: str = "") -> None:
        """Count the job ``title``, which took ``seconds``; it need not have started."""
        self.done += ok
        self.failed += not ok
        if title in self._running:
            self._running.remove(title)
        spent = f"{title} ({seconds:.1f} s)"
        line = f"done  {spent}" if ok else f"failed {spent}: {reason}"
        if not self._live:
            width = max(3, len(str(self.total)))
            self._print(f"[{self.done + self.failed:{width}}/{self.total}] {self._elapsed()} {line}")
            return
        if not ok:
            self._print(line)
        self._last = line
        counts = f"{self.done} done, {self.failed} failed"
        self._bar.update(self._task, completed=self.done + self.failed, description=counts)

    def _print(self, line: str) -> None:
        if self._live:
            self._live.console.print(Text(line), soft_wrap=True)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._begin), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"

    def _view(self) -> Group:
        lines = [("last    ", self._last), ("running ", ", ".join(self._running))]
        shown = [Text(label + text, overflow="ellipsis", no_wrap=True) for label, text in lines if text]
        return Group(self._bar, *shown)
