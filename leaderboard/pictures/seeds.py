"""One picture per suite: the test score of every seed, with mean and standard deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from leaderboard.content import Board, Entry
from leaderboard.pictures.rows import axis_name, baseline, by_rank, controls, counted, suites, tables
from leaderboard.pictures.strips import strips
from leaderboard.pictures.style import QUIET, Look, looks, plain
from leaderboard.tables.words import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLD = 4  # tasks that a description names one by one


def subjects(board: Board) -> list[str]:
    """The suites with a score."""
    return [suite for suite in suites(board) if by_rank(board, tables(board, suite))]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Test score of every seed on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """The highest mean of each task and the place of the focus method."""
    found = tables(board, subject)
    null = controls(board)
    bests, places = [], []
    for table in found:
        scored = [entry for entry in table.entries if entry.summary and entry.row not in null]
        scored.sort(key=lambda e: e.summary.mean if e.summary else 0.0, reverse=table.higher_is_better)
        if scored and scored[0].summary:
            mean, row = scored[0].summary.mean, plain(scored[0].row)
            bests.append(f"{row} on {plain(table.name)} ({metric_name(table.metric)} {mean:.3f})")
            places += [k for k, entry in enumerate(scored) if entry.row == board.focus][:1]
    sentence = f"Test scores of single seeds on {counted(len(found), 'task')}, each with mean and standard deviation."
    if len(bests) <= TOLD and bests:
        sentence += f" The best mean has {'; '.join(bests)}."
    if board.focus and places:
        first = sum(place == 0 for place in places)
        sentence += f" {plain(board.focus)} has the best mean on {first} of {counted(len(places), 'task')}."
    return sentence


def figure(board: Board, subject: str) -> Figure:
    """Draw a panel per task; better is to the right in each."""
    found = tables(board, subject)
    order, look, base = by_rank(board, found), looks(board), baseline(board)
    note = (
        f"Protocol {plain(board.protocol)}. Small marks are seeds (the same seed at the same height), the upright bar "
        "is their mean, the line ± 1 standard deviation. Better is to the right; methods stand in the order of "
        "their mean rank, after them those that lack a task."
    )
    if base in order:
        note += f" The dashed line is the mean of {base}."
    figure, axes, heights = strips(board, order, [table.name for table in found], title(board, subject), note)
    for axis, table in zip(axes, found, strict=True):
        every = sorted({seed for entry in table.entries if entry.summary for seed in entry.summary.seeds})
        for entry in table.entries:
            if entry.summary:
                _row(axis, entry, heights[entry.row], look[entry.row], every)
                if entry.row == base:
                    axis.axvline(entry.summary.mean, color="black", ls=(0, (4, 3)), lw=0.7, zorder=1)
            elif entry.row in heights:
                at = axis.get_yaxis_transform()
                axis.text(0.02, heights[entry.row], "no record", color=QUIET, fontsize=6.5, va="center", transform=at)
        if not table.higher_is_better:
            axis.invert_xaxis()
        axis.locator_params(axis="x", nbins=4)
        axis.set_xlabel(axis_name(table))
    return figure


def _row(axis: Axes, entry: Entry, height: float, look: Look, every: list[int]) -> None:
    summary = entry.summary
    assert summary
    offsets = [0.5 * (every.index(seed) / max(len(every) - 1, 1) - 0.5) * (len(every) > 1) for seed in summary.seeds]
    axis.plot(
        summary.scores, height + np.array(offsets), ls="", marker=look.marker, markersize=2.8, color=look.colour,
        markerfacecolor=look.fill, markeredgewidth=0.5, alpha=0.75, zorder=2,
    )  # fmt: skip
    if summary.sd is not None:
        ends = [summary.mean - summary.sd, summary.mean + summary.sd]
        axis.plot(ends, [height, height], color="#303030", lw=0.9, zorder=3, solid_capstyle="butt")
    axis.plot([summary.mean], [height], marker="|", markersize=8, markeredgewidth=1.6, color="#303030", zorder=3)
