"""One picture per suite: validation score during training, mean and standard deviation over seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.content import Board, LearningCurves, TaskTable
from leaderboard.pictures.layout import Panels, apart, sample, sheet
from leaderboard.pictures.rows import axis_name, compared, counted, suites, tables
from leaderboard.pictures.style import GREY, LINES, SMALL, Look, dark, inches, looks, plain
from leaderboard.tables.words import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

DIRECT = 7  # methods that can be named beside their lines


def subjects(board: Board) -> list[str]:
    """The suites with a learning curve."""
    return [suite for suite in suites(board) if _shown(board, suite)]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Validation score during training on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """How far the curve of the focus method (or the first) goes, and where it is best."""
    shown = _shown(board, subject)
    methods = {curve.row for _, curves in shown for curve in curves}
    table, curves = shown[0]
    curve = next((curve for curve in curves if curve.row == board.focus), curves[0])
    best = int(np.argmax(curve.mean) if table.higher_is_better else np.argmin(curve.mean))
    return (
        f"Validation score of {counted(len(methods), 'method')} on {counted(len(shown), 'task')} as training goes on. "
        f"On {plain(table.name)}, the mean of {plain(curve.row)} goes from {metric_name(table.metric)} "
        f"{curve.mean[0]:.3f} to its best, {curve.mean[best]:.3f} at {curve.unit} {curve.done[best]}; "
        f"{curve.seeds[-1]} of {counted(max(curve.seeds), 'seed')} got to {curve.unit} {curve.done[-1]}."
    )


def figure(board: Board, subject: str) -> Figure:
    """Draw a panel per task."""
    shown, look = _shown(board, subject), looks(board)
    present = {curve.row for _, curves in shown for curve in curves}
    direct = len(present) <= DIRECT
    if direct:
        grey = [label for label in look if label in present and not look[label].named]
        look |= {label: replace(look[label], line=line) for label, line in zip(grey, LINES, strict=False)}
    columns = min(len(shown), 3) if len(shown) <= 6 or direct else 4
    room = max(inches(plain(label, 20), SMALL) for label in present) + 0.1 if direct else 0.0
    grid = Panels(
        len(shown), columns, width=2.2 if columns < 4 else 1.75, height=1.5, left=0.45, between=0.55 + room,
        right=0.1 + room,
    )  # fmt: skip
    note = (
        f"Protocol {plain(board.protocol)}. Lines are means over seeds, bands ± 1 standard deviation"
        + (" (not of the grey lines)" if any(not look[label].named for label in present) else "")
        + ". Training stops "
        "early: a line turns thin where some seeds have stopped, and is then the mean of the others. "
        "Controls are not shown."
    )
    figure, axes = sheet(title(board, subject), note, grid, [] if direct else _key(present, look))
    for axis, (table, curves) in zip(axes, shown, strict=True):
        for curve in curves:
            _curve(axis, curve, look[curve.row])
        axis.locator_params(axis="x", nbins=6, integer=True)
        axis.locator_params(axis="y", nbins=5)
        if direct:
            _names(axis, curves, look)
        axis.set_title(plain(table.name, 24))
        axis.set_xlabel(" or ".join(dict.fromkeys(curve.unit for curve in curves)))
        axis.set_ylabel(axis_name(table))
    return figure


def _curve(axis: Axes, curve: LearningCurves, look: Look) -> None:
    done, mean = np.array(curve.done), np.array(curve.mean)  # (e,)
    sd = np.array([np.nan if value is None else value for value in curve.sd])
    whole = sum(count == max(curve.seeds) for count in curve.seeds)  # seeds only ever stop
    front = 3 if look.named else 1
    width = 1.7 if look.named else 0.8
    marker = look.marker if len(done) == 1 else None
    axis.plot(
        done[:whole], mean[:whole], color=look.colour, ls=look.line, lw=width, zorder=front, marker=marker, markersize=4
    )
    rest = slice(max(whole - 1, 0), None)
    axis.plot(done[rest], mean[rest], color=look.colour, ls=look.line, lw=0.6 * width, alpha=0.6, zorder=front)
    if look.named:
        axis.fill_between(done, mean - sd, mean + sd, color=look.colour, alpha=0.12, linewidth=0, zorder=front - 1)


def _key(present: set[str], look: dict[str, Look]) -> list[Line2D]:
    """The lines that stand out, and one entry for all others."""
    named = [label for label in look if label in present and look[label].named]
    others = counted(len(present) - len(named), "other method")
    grey = [sample(others, Look(GREY, "-", "o", named=False, control=False))] if len(named) < len(present) else []
    return [*(sample(label, look[label]) for label in named), *grey]


def _names(axis: Axes, curves: list[LearningCurves], look: dict[str, Look]) -> None:
    """Write each method's name beside the end of its line."""
    low, high = axis.get_ylim()
    beyond, (first, last) = axis.get_yaxis_transform(), axis.get_xlim()
    for curve, height in zip(curves, apart([c.mean[-1] for c in curves], 0.09 * (high - low), low, high), strict=True):
        colour, end = look[curve.row].colour, (curve.done[-1] - first) / (last - first)
        axis.plot([end, 1.02], [curve.mean[-1], height], color=colour, lw=0.5, transform=beyond, clip_on=False)
        axis.text(1.03, height, plain(curve.row, 20), color=dark(colour), fontsize=SMALL, va="center", transform=beyond)
    axis.set_ylim(low, high)
    axis.set_xlim(first, last)


def _shown(board: Board, suite: str) -> list[tuple[TaskTable, list[LearningCurves]]]:
    """The tasks of a suite that have curves of methods, with the curves."""
    methods = set(compared(board))
    found = {curves.task: [c for c in curves.learning if c.row in methods] for curves in board.curves}
    return [(table, found[table.task]) for table in tables(board, suite) if found.get(table.task)]
