"""One picture per task: learned objective weights beside those of the null control, on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.files import write_atomic
from leaderboard.content import WeightCurves, WeightPicture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette for colour-blind readers, without its yellow, which is too pale on paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


def draw(folder: Path, protocol: str, picture: WeightPicture) -> Path:
    """Draw ``picture`` into ``folder``: one line of panels per learned method, its controls to the right."""
    from matplotlib.figure import Figure

    lines = _arrange(picture.curves)
    columns = max(len(line) for line in lines)
    figure = Figure(figsize=(1.2 + 3.9 * columns, 0.7 + 2.8 * len(lines)), dpi=160, layout="constrained")
    panels = figure.subplots(len(lines), columns, sharey="row", squeeze=False)
    for line, axes in zip(lines, panels, strict=True):
        for axis in axes[len(line) :]:
            axis.set_visible(False)
        for axis, shown in zip(axes, line, strict=False):
            _panel(axis, shown)
        for axis, shown in zip(axes, line, strict=False):
            _label(axis, shown)  # once the shared axis has its final limits
        axes[0].set_ylabel("objective weight")
    figure.suptitle(f"{picture.task}, protocol {protocol}", fontsize=10)
    path = folder / picture.file
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
    return path


def _arrange(curves: Sequence[WeightCurves]) -> list[list[WeightCurves]]:
    """Group curves by the method they belong to, the method before its controls."""
    groups: dict[str, list[WeightCurves]] = {}
    for curve in sorted(curves, key=lambda curve: curve.control_of is not None):
        groups.setdefault(curve.control_of or curve.row, []).append(curve)
    return list(groups.values())


def _panel(axis: Axes, curve: WeightCurves) -> None:
    steps, mean = np.array(curve.steps), np.array(curve.mean)  # (u,), (u, n)
    for index, name in enumerate(curve.objectives):
        colour, line = COLOURS[index % len(COLOURS)], LINES[index % len(LINES)]
        # A single update has no line; the marker shows it.
        marker = "o" if len(steps) == 1 else None
        axis.plot(steps, mean[:, index], color=colour, linestyle=line, linewidth=1.6, marker=marker, label=name)
        if curve.sd is not None:
            sd = np.array(curve.sd)[:, index]
            low, high = np.clip(mean[:, index] - sd, 0, 1), np.clip(mean[:, index] + sd, 0, 1)
            axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    span = max(steps[-1] - steps[0], 1)
    axis.set_xlim(steps[0] - 0.08 * span, steps[-1] + 0.02 * span)  # leaves room for "1/n"
    equal = 1 / len(curve.objectives)
    axis.axhline(equal, color="0.4", linewidth=0.8, zorder=0)
    axis.annotate("1/n", xy=(0.01, equal), xycoords=("axes fraction", "data"), color="0.4", fontsize=7, va="bottom")
    role = f"control of {curve.control_of}, " if curve.control_of else ""
    spread = "mean ± sd" if curve.sd is not None else "no spread"
    title = f"{curve.row} ({role}n = {curve.seeds}, {spread})"
    axis.set_title("\n".join([title, *([curve.note] if curve.note else [])]), fontsize=8)
    axis.set_xlabel("pretraining step")
    axis.spines[["top", "right"]].set_visible(False)


def _label(axis: Axes, curve: WeightCurves) -> None:
    """Write each objective's name at the end of its line, in the line's colour."""
    low, high = axis.get_ylim()
    for index, height in enumerate(_apart(curve.mean[-1], gap=0.065 * (high - low))):
        axis.annotate(
            curve.objectives[index],
            xy=(1.02, height),
            xycoords=("axes fraction", "data"),
            color=COLOURS[index % len(COLOURS)],
            fontsize=8,
            va="center",
            annotation_clip=False,
        )


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move ``heights`` as little as keeps them ``gap`` apart in their order (pool adjacent violators)."""
    order = np.argsort(heights, kind="stable")
    groups: list[list[float]] = []
    for place, index in enumerate(order):
        groups.append([heights[index] - place * gap])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    level = [float(np.mean(group)) for group in groups for _ in group]
    moved = np.empty(len(order))
    moved[order] = np.array(level) + gap * np.arange(len(order))
    return [float(height) for height in moved]
