"""One picture per task: learned objective weights, each method beside its null controls, on one axis.

The form of TapWeight's Figure 2 and TARTAN's Figures 3 and 4, with the spread over seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leaderboard.content import Board, TaskCurves, WeightCurves
from leaderboard.pictures.layout import Panels, apart, sheet
from leaderboard.pictures.rows import counted
from leaderboard.pictures.style import COLOURS, LINES, QUIET, SMALL, dark, inches, plain
from leaderboard.tables.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # of panels at most, unless a method has more controls
POINTS = 100  # of a line
NAMED = 12  # more objectives than a panel has room to name


def subjects(board: Board) -> list[str]:
    """The tasks on which weights were learned."""
    return [curves.task for curves in board.curves if curves.weights]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Objective weights on {plain(subject, 60)}"


def describe(board: Board, subject: str) -> str:
    """Where the weights of the focus method and its controls ended, and which objective the others put first."""
    curves = _of(board, subject).weights
    first = next((curve for curve in curves if curve.row == board.focus), curves[0])
    mine = [first, *(curve for curve in curves if curve.control_of == first.row)]
    others = [curve for curve in curves if curve not in mine and curve.control_of is None]
    sentences = [f"{_ending(curve)}." for curve in mine]
    if others:
        ends = Counter(curve.objectives[int(np.argmax(curve.mean[-1]))] for curve in others)
        told = listed([f"{k} put{'s' * (k == 1)} {plain(name)} first" for name, k in ends.most_common()])
        sentences.append(f"Of {counted(len(others), 'other method')}, {told}.")
    return " ".join(sentences)


def figure(board: Board, subject: str) -> Figure:
    """Draw the weights on a task."""
    return panels(_of(board, subject), board.protocol, board.focus)


def panels(curves: TaskCurves, protocol: str, focus: str | None = None) -> Figure:
    """Draw a panel per learned method, its controls to the right."""
    lines = arrange(curves.weights, focus)
    columns = max(len(line) for line in lines)
    looks = objective_looks(curves.weights)
    names = max(inches(plain(name, 20), SMALL) for name in looks)
    grid = Panels(
        len(lines) * columns, columns, width=2.0, height=1.55, left=0.45, between=names + 0.3, right=names + 0.2,
        above=0.4, below=0.45,
    )  # fmt: skip
    note = (
        f"Protocol {plain(protocol)}. Lines are means over n seeds, each holding its weights between its moves; "
        "bands ± 1 standard deviation; the grey line 1/n is an equal weight for all objectives."
    )
    result, axes = sheet(f"Objective weights on {plain(curves.task, 60)}", note, grid)
    shown = {k * columns + place: curve for k, line in enumerate(lines) for place, curve in enumerate(line)}
    top = max(_highest(curve) for curve in curves.weights)
    for place, axis in enumerate(axes):
        if place not in shown:
            axis.remove()
            continue
        axis.set_ylim(0, min(1.0, 1.05 * top))
        _panel(axis, shown[place], looks)
        if place % columns:
            axis.set_yticklabels([])
        else:
            axis.set_ylabel("objective weight")
    return result


def arrange(curves: Sequence[WeightCurves], focus: str | None = None) -> list[list[WeightCurves]]:
    """Lay panels out in lines, a method directly before its controls; focus and wide groups first, gaps filled."""
    groups: dict[str, list[WeightCurves]] = {}
    for curve in sorted(curves, key=lambda curve: (curve.control_of is not None, curve.row != focus)):
        groups.setdefault(curve.control_of or curve.row, []).append(curve)
    wide = COLUMNS if len(curves) > 4 else min(len(curves), 2) if len(curves) != 3 else 3
    lines: list[list[WeightCurves]] = []
    for group in sorted(groups.values(), key=lambda group: (group[0].row != focus, -len(group))):
        line = next((line for line in lines if len(line) + len(group) <= wide), None)
        if line is None:
            lines.append(line := [])
        line += group
    return lines


def objective_looks(curves: Sequence[WeightCurves]) -> dict[str, tuple[str, Any]]:
    """One colour and line for each objective, the same in all panels."""
    names = dict.fromkeys(name for curve in curves for name in curve.objectives)
    many = len(COLOURS)
    return {name: (COLOURS[k % many], LINES[(k + k // many) % many]) for k, name in enumerate(names)}


def _panel(axis: Axes, curve: WeightCurves, looks: Mapping[str, tuple[str, Any]]) -> None:
    # As many points as a panel has room for.
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, min(len(curve.steps), POINTS)).round().astype(int))
    steps, mean = np.array(curve.steps)[kept], np.array(curve.mean)[kept]  # (u,), (u, n)
    held = curve.unit == "trial"  # a search keeps its best weights until a trial does better
    for index, name in enumerate(curve.objectives):
        colour, line = looks[name]
        # A single update has no line; the marker shows it.
        marker = "o" if len(steps) == 1 else None
        draws = "steps-post" if held else "default"
        axis.plot(steps, mean[:, index], color=colour, ls=line, lw=1.5, marker=marker, markersize=3, drawstyle=draws)
        if curve.sd is not None:
            sd = np.array(curve.sd)[kept, index]
            low, high = np.clip(mean[:, index] - sd, 0, 1), np.clip(mean[:, index] + sd, 0, 1)
            axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0, step="post" if held else None)
    span = max(steps[-1] - steps[0], 1)
    axis.set_xlim(steps[0] - 0.12 * span, steps[-1] + 0.001 * span)  # leaves room for "1/n"
    axis.locator_params(axis="x", nbins=4, integer=True)
    axis.locator_params(axis="y", nbins=5)
    equal = 1 / len(curve.objectives)
    axis.axhline(equal, color="0.55", linewidth=0.7, zorder=0)
    axis.annotate("1/n", xy=(0.01, equal), xycoords=("axes fraction", "data"), color=QUIET, fontsize=7, va="bottom")
    seeds = counted(curve.seeds, "seed")
    role = f"control of {plain(curve.control_of, 20)}, {seeds}" if curve.control_of else seeds
    notes = [plain(curve.note, 44)] if curve.note else []
    axis.set_title(plain(curve.row), pad=15)
    axis.annotate(
        ", ".join([role, *notes]), (0, 1), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points",
        fontsize=SMALL, color=QUIET,
    )  # fmt: skip
    axis.set_xlabel(curve.unit)
    _names(axis, curve, looks)


def _names(axis: Axes, curve: WeightCurves, looks: Mapping[str, tuple[str, Any]]) -> None:
    """Write each objective's name at the end of its line, in the line's colour."""
    low, high = axis.get_ylim()
    last = curve.mean[-1]
    order = sorted(range(len(last)), key=lambda k: last[k], reverse=True)[:NAMED]
    for index, height in zip(order, apart([last[k] for k in order], 0.085 * (high - low), low, high), strict=True):
        colour = looks[curve.objectives[index]][0]
        beyond = axis.get_yaxis_transform()
        axis.plot([1.0, 1.05], [last[index], height], color=colour, ls="-", lw=0.8, transform=beyond, clip_on=False)
        axis.text(
            1.06, height, plain(curve.objectives[index], 20), color=dark(colour), fontsize=SMALL, va="center",
            transform=beyond,
        )  # fmt: skip


def _highest(curve: WeightCurves) -> float:
    mean = np.array(curve.mean)
    return float(np.max(mean if curve.sd is None else mean + np.array(curve.sd)))


def _of(board: Board, task: str) -> TaskCurves:
    return next(curves for curves in board.curves if curves.task == task)


def _ending(curve: WeightCurves) -> str:
    """Where the weights of one row ended."""
    last = np.array(curve.mean[-1])
    highest, lowest = (
        f"{plain(curve.objectives[k])} at {last[k]:.2f}" for k in (int(np.argmax(last)), int(np.argmin(last)))
    )
    role = f", the null control of {plain(curve.control_of)}," if curve.control_of else ""
    when = f"after {counted(curve.steps[-1], curve.unit)}"
    return f"{plain(curve.row)}{role} ends {when} with {highest} as its highest weight and {lowest} as its lowest"
