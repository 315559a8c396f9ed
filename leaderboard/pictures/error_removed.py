"""One picture per suite: the share of fine-tuning's error that each method removes, with 95 % intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.content import Board, Estimate, SuiteRow, task_name
from leaderboard.pictures.rows import baseline, by_rank, controls, counted, percent, suite_table, suites, tables
from leaderboard.pictures.strips import strips
from leaderboard.pictures.style import QUIET, Look, looks, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = -1.0  # shown; an error that more than doubles would press everything else together


def subjects(board: Board) -> list[str]:
    """The suites with a common scale and something beside fine-tuning on it."""
    base = baseline(board)
    return [s for s in suites(board) if any(any(row.error_removed) for row in _rows(board, s) if row.row != base)]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Share of fine-tuning's error removed on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """The aggregate of the best rows and of the focus method, or on how many tasks its interval is above zero."""
    rows = [row for row in _rows(board, subject) if row.row not in controls(board)]
    sentence = f"Share of fine-tuning's error removed on {counted(len(_names(board, subject)), 'task')}."
    whole = sorted((row for row in rows if row.iqm), key=lambda row: -row.iqm.value if row.iqm else 0.0)
    if whole:
        told = [f"{plain(row.row)} {_words(row.iqm)}" for row in whole[:3] if row.iqm]
        sentence += f" Highest interquartile means with 95 % intervals: {'; '.join(told)}."
    focus = next((row for row in rows if row.row == board.focus), None)
    if focus and any(focus.error_removed):
        shown = [estimate for estimate in focus.error_removed if estimate]
        above = sum(estimate.low > 0 for estimate in shown)
        sentence += f" The interval of {plain(focus.row)} is above zero on {above} of {counted(len(shown), 'task')}."
    return sentence


def figure(board: Board, subject: str) -> Figure:
    """Draw a panel per task on one scale, and last the interquartile mean over all of them."""
    found = {row.row: row for row in _rows(board, subject)}
    names = _names(board, subject)
    order = [label for label in by_rank(board, tables(board, subject)) if label in found]
    whole = any(row.iqm for row in found.values()) and len(names) > 1
    note = (
        f"Protocol {plain(board.protocol)}. In % of fine-tuning's error; marks are means, lines 95 % bootstrap "
        "intervals over seeds, fine-tuning's included. Better is to the right."
    )
    if whole:
        note += (
            f" IQM: interquartile mean over seeds and the {len(names)} tasks; "
            "its thin line is the interval that also resamples tasks."
        )
    panels = [*names, *(["all tasks (IQM)"] if whole else [])]
    figure, axes, heights = strips(board, order, panels, title(board, subject), note)
    low, high = _limits(list(found.values()))
    look = looks(board)
    for place, axis in enumerate(axes):
        axis.set_xlim(100 * low, 100 * high)
        axis.axvline(0, color="black", ls=(0, (4, 3)), lw=0.7, zorder=1)
        axis.locator_params(axis="x", nbins=4)
        axis.set_xlabel("error removed, %")
        last = place == len(names)
        if last:
            axis.set_facecolor("#F6F6F4")
            axis.set_title(panels[-1], fontweight="bold")
        for label, row in found.items():
            estimate = row.iqm if last else row.error_removed[place]
            if last and row.iqm_over_tasks:
                ends = [100 * row.iqm_over_tasks.low, 100 * row.iqm_over_tasks.high]
                axis.plot(ends, [heights[label]] * 2, color=look[label].colour, lw=0.7, zorder=2)
            if estimate:
                _row(axis, estimate, heights[label], look[label], low)
            elif label in heights:
                at = axis.get_yaxis_transform()
                words = "tasks missing" if last else "no record"
                axis.text(0.02, heights[label], words, color=QUIET, fontsize=6.5, va="center", transform=at)
    return figure


def _row(axis: Axes, estimate: Estimate, height: float, look: Look, low: float) -> None:
    ends = [100 * estimate.low, 100 * estimate.high]
    axis.plot(ends, [height, height], color=look.colour, lw=1.8, zorder=2, solid_capstyle="butt")
    if estimate.value < low:
        axis.text(100 * low, height, f"◂ {100 * estimate.value:.0f}", fontsize=6.5, va="center", color="#404040")
        return
    axis.plot(
        [100 * estimate.value], [height], marker=look.marker, markersize=4.5, color=look.colour,
        markerfacecolor=look.fill, markeredgewidth=1.0, zorder=3,
    )  # fmt: skip


def _limits(rows: list[SuiteRow]) -> tuple[float, float]:
    """The common scale: of everything, but not below the floor."""
    shown = [estimate for row in rows for estimate in [*row.error_removed, row.iqm, row.iqm_over_tasks] if estimate]
    low, high = min(e.low for e in shown), max(e.high for e in shown)
    low, high = max(min(low, 0.0), LOWEST), min(max(high, 0.0), 1.0)
    room = 0.04 * (high - low) or 0.05
    return low - room, high + room


def _rows(board: Board, suite: str) -> list[SuiteRow]:
    table = suite_table(board, suite)
    return table.rows if table else []


def _names(board: Board, suite: str) -> list[str]:
    table = suite_table(board, suite)
    return [task_name(task) for task in table.tasks] if table else []


def _words(estimate: Estimate) -> str:
    value, low, high = (percent(number) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} % ({low} to {high})"
