"""One picture per suite: the share of fine-tuning's error that each method removes, with 95 % intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.content import BASELINE, Board, Estimate, SuiteRow, SuiteTable, TaskTable, task_name
from leaderboard.pictures.rows import by_rank, controls, counted, percent, suite_table, suites, tables
from leaderboard.pictures.strips import strips
from leaderboard.pictures.style import QUIET, Look, looks, plain
from leaderboard.statistics.floors import ALPHA
from leaderboard.tables.baselines import own_baselines
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.intervals import bootstrap_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWEST = -1.0  # shown; an error that more than doubles would press everything else together


def subjects(board: Board) -> list[str]:
    """The suites with a common scale and something beside fine-tuning on it."""
    tuned = {row.label for row in board.rows if row.method == BASELINE}
    return [s for s in suites(board) if any(any(r.error_removed) for r in _rows(board, s) if r.row not in tuned)]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Share of fine-tuning's error removed on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """The aggregates of the best rows, and on how many tasks the focus method is better than fine-tuning."""
    rows = [row for row in _rows(board, subject) if row.row not in controls(board)]
    sentence = f"Share of fine-tuning's error removed on {counted(len(_names(board, subject)), 'task')}."
    whole = sorted((row for row in rows if row.iqm), key=lambda row: -row.iqm.value if row.iqm else 0.0)
    if whole:
        told = [f"{plain(row.row)} {_words(row.iqm)}" for row in whole[:3] if row.iqm]
        with_ends = " with 95 % bootstrap intervals" if any(row.iqm and row.iqm.interval for row in whole[:3]) else ""
        sentence += f" Highest interquartile means{with_ends}: {'; '.join(told)}."
    focus = next((row for row in rows if row.row == board.focus), None)
    if focus and any(focus.error_removed):
        tested = [
            (estimate.value, p)
            for table, estimate in zip(tables(board, subject), focus.error_removed, strict=True)
            if estimate and (p := _against_baseline(table, focus.row)) is not None
        ]
        better = sum(value > 0 and p <= ALPHA for value, p in tested)
        if tested:
            sentence += (
                f" {plain(focus.row)} is better than fine-tuning on {better} of {counted(len(tested), 'task')} "
                f"(two-sided permutation test, p <= {ALPHA}, uncorrected)."
            )
    return sentence


def _against_baseline(table: TaskTable, row: str) -> float | None:
    """The p-value of a row against its fine-tuning; None where they are one, or where nothing can be significant."""
    pairs, base = table.pairwise, next((entry.baseline for entry in table.entries if entry.row == row), None)
    if pairs is None or row not in pairs.rows or base not in pairs.rows:
        return None
    return pairs.p[pairs.rows.index(row)][pairs.rows.index(base)]


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
        note += "".join(f" {plain(line, 200)}" for line in unrecorded(_table(board, subject)))
    note += "".join(f" {plain(line, 200)}" for line in bootstrap_notes(tables(board, subject)))
    note += "".join(f" {plain(line, 200)}" for line in own_baselines(board, tables(board, subject)))
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
                shared = last or tables(board, subject)[place].task not in row.unshared
                words = "tasks missing" if last else "no record" if shared else "no common seed"
                axis.text(0.02, heights[label], words, color=QUIET, fontsize=6.5, va="center", transform=at)
    return figure


def _row(axis: Axes, estimate: Estimate, height: float, look: Look, low: float) -> None:
    if found := estimate.interval:
        ends = [100 * found.low, 100 * found.high]
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
    estimates = [estimate for row in rows for estimate in [*row.error_removed, row.iqm] if estimate]
    ends = [found for found in (*(e.interval for e in estimates), *(row.iqm_over_tasks for row in rows)) if found]
    values = [estimate.value for estimate in estimates]
    low, high = min(values + [found.low for found in ends]), max(values + [found.high for found in ends])
    low, high = max(min(low, 0.0), LOWEST), min(max(high, 0.0), 1.0)
    room = 0.04 * (high - low) or 0.05
    return low - room, high + room


def _table(board: Board, suite: str) -> SuiteTable:
    found = suite_table(board, suite)
    assert found
    return found


def _rows(board: Board, suite: str) -> list[SuiteRow]:
    table = suite_table(board, suite)
    return table.rows if table else []


def _names(board: Board, suite: str) -> list[str]:
    table = suite_table(board, suite)
    return [task_name(task) for task in table.tasks] if table else []


def _words(estimate: Estimate) -> str:
    found = estimate.interval
    return f"{percent(estimate.value)} %" + (f" ({percent(found.low)} to {percent(found.high)})" if found else "")
