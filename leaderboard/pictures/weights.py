"""One picture per task: learned objective weights beside those of the null control, on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.files import write_atomic
from leaderboard.content import TaskCurves, WeightCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette for colour-blind readers, without its yellow, which is too pale on paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


COLUMNS = 4  # of panels at most, unless a method has more controls


def draw(folder: Path, protocol: str, picture: TaskCurves) -> Path:
    """Draw ``picture`` into ``folder``: a panel per learned method, its controls to the right, on one axis."""
    from matplotlib.figure import Figure

    lines = _arrange(picture.curves)
    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1.0 + 3.3 * columns, 0.6 + 2.5 * len(lines)), dpi=160, layout="constrained")
    panels = figure.subplots(len(lines), columns, sharey=True, squeeze=False)
    styles = _styles(picture.curves)
    for line, axes in zip(lines, panels, strict=True):
        for axis in axes[len(line) :]:
            axis.set_visible(False)
        for axis, shown in zip(axes, line, strict=False):
            _panel(axis, shown, styles)
        axes[0].set_ylabel("objective weight", fontsize=9)
    for line, axes in zip(lines, panels, strict=True):
        for axis, shown in zip(axes, line, strict=False):
            _label(axis, shown, styles)  # once the shared axis has its final limits
    figure.suptitle(f"{picture.task}, protocol {protocol}: mean ± sd over n seeds", fontsize=11)
    path = folder / picture.file
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
    return path


def _arrange(curves: Sequence[WeightCurves]) -> list[list[WeightCurves]]:
    """Lay panels out in lines: first the methods with controls, each directly before its own, then the others."""
    groups: dict[str, list[WeightCurves]] = {}
    for curve in sorted(curves, key=lambda curve: curve.control_of is not None):
        groups.setdefault(curve.control_of or curve.row, []).append(curve)
    ordered = sorted(groups.values(), key=lambda group: len(group) == 1)
    wide = COLUMNS if len(curves) > COLUMNS else 2
    lines: list[list[WeightCurves]] = [[]]
    for group in ordered:
        if lines[-1] and len(lines[-1]) + len(group) > wide:
            lines.append([])
        lines[-1] += group
    return lines


def _styles(curves: Sequence[WeightCurves]) -> dict[str, tuple[str, Any]]:
    """One colour and line for each objective, the same in all panels."""
    names = dict.fromkeys(name for curve in curves for name in curve.objectives)
    return {name: (COLOURS[k % len(COLOURS)], LINES[k % len(LINES)]) for k, name in enumerate(names)}


def _panel(axis: Axes, curve: WeightCurves, styles: Mapping[str, tuple[str, Any]]) -> None:
    steps, mean = np.array(curve.steps), np.array(curve.mean)  # (u,), (u, n)
    held = curve.unit == "trial"  # a search keeps its best weights until a trial does better
    for index, name in enumerate(curve.objectives):
        colour, line = styles[name]
        # A single update has no line; the marker shows it.
        marker = "o" if len(steps) == 1 else None
        draws = "steps-post" if held else "default"
        axis.plot(steps, mean[:, index], color=colour, ls=line, lw=1.5, marker=marker, markersize=3, drawstyle=draws)
        if curve.sd is not None:
            sd = np.array(curve.sd)[:, index]
            low, high = np.clip(mean[:, index] - sd, 0, 1), np.clip(mean[:, index] + sd, 0, 1)
            axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0, step="post" if held else None)
    span = max(steps[-1] - steps[0], 1)
    axis.set_xlim(steps[0] - 0.1 * span, steps[-1] + 0.02 * span)  # leaves room for "1/n"
    equal = 1 / len(curve.objectives)
    axis.axhline(equal, color="0.4", linewidth=0.8, zorder=0)
    axis.annotate("1/n", xy=(0.01, equal), xycoords=("axes fraction", "data"), color="0.4", fontsize=7, va="bottom")
    role = f"control of {curve.control_of}, " if curve.control_of else ""
    notes = [curve.note] if curve.note else []
    axis.set_title("\n".join([curve.row, f"{role}n = {curve.seeds}", *notes]), fontsize=9)
    axis.set_xlabel(curve.unit, fontsize=8)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _label(axis: Axes, curve: WeightCurves, styles: Mapping[str, tuple[str, Any]]) -> None:
    """Write each objective's name at the end of its line, in the line's colour."""
    low, high = axis.get_ylim()
    for name, height in zip(curve.objectives, _apart(curve.mean[-1], 0.075 * (high - low), low, high), strict=True):
        axis.annotate(
            name,
            xy=(1.02, height),
            xycoords=("axes fraction", "data"),
            color=styles[name][0],
            fontsize=8,
            va="center",
            annotation_clip=False,
        )


def _apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ``heights`` as little as keeps them ``gap`` apart in their order, and between ``low`` and ``high``.

    Pool adjacent violators; cutting its levels off is the solution with bounds.
    """
    order = np.argsort(heights, kind="stable")
    groups: list[list[float]] = []
    for place, index in enumerate(order):
        groups.append([heights[index] - place * gap])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    level = [float(np.mean(group)) for group in groups for _ in group]
    moved = np.empty(len(order))
    moved[order] = np.clip(level, low, high - gap * (len(order) - 1)) + gap * np.arange(len(order))
    return [float(height) for height in moved]
