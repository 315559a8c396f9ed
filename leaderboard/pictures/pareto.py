"""One picture per suite: score against cost, with the methods that nothing cheaper matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.content import Board, TaskTable
from leaderboard.pictures.labels import place
from leaderboard.pictures.layout import Panels, sheet
from leaderboard.pictures.rows import axis_name, baseline, compared, percent, suite_table, suites, tables
from leaderboard.pictures.style import SMALL, Look, dark, inches, looks, plain
from leaderboard.tables.baselines import own_baselines
from leaderboard.tables.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOLD = 4  # tasks whose fronts a description names one by one


@dataclass(frozen=True)
class Point:
    """A method in a panel."""

    row: str
    cost: float  # fine-tuning is 1
    score: float
    low: float  # of its spread or interval
    high: float


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    name: str
    scale: str  # of the scores
    up: bool  # larger is better
    points: list[Point]

    @property
    def front(self) -> list[Point]:
        """The points that no other beats in cost and score, cheapest first."""
        sign = 1 if self.up else -1
        found = front([point.cost for point in self.points], [sign * point.score for point in self.points])
        return [self.points[index] for index in found]


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """The points that no other beats: as cheap and as good, and better in one of them. In order of cost."""
    order = sorted(range(len(costs)), key=lambda k: (costs[k], -scores[k]))
    found: list[int] = []
    for index in order:
        last = found[-1] if found else None
        if last is None or scores[index] > scores[last] or (costs[index], scores[index]) == (costs[last], scores[last]):
            found.append(index)
    return found


def subjects(board: Board) -> list[str]:
    """The suites with at least two methods whose cost is known relative to fine-tuning's."""
    return [suite for suite in suites(board) if _panels(board, suite)]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Score against cost on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """The methods on the Pareto front."""
    found = _panels(board, subject)
    sentence = f"Score against cost, fine-tuning = 1, on {plain(subject)}."
    if found[0].name == "":
        told = [f"{plain(p.row)} ({p.cost:.1f}×, {percent(p.score / 100)} %)" for p in found[0].front]
        return f"{sentence} Over all tasks the Pareto front is {listed(told)} of fine-tuning's error removed."
    if len(found) <= TOLD:
        fronts = [f"on {plain(panel.name)} {listed([plain(p.row) for p in panel.front])}" for panel in found]
        return f"{sentence} The Pareto front is {'; '.join(fronts)}."
    on = [(sum(label in [p.row for p in panel.front] for panel in found), label) for label in compared(board)]
    told = [f"{plain(label)} on {count}" for count, label in sorted(on, key=lambda pair: -pair[0])[:5] if count]
    return f"{sentence} Of {len(found)} tasks, the Pareto front holds {listed(told)}."


def figure(board: Board, subject: str) -> Figure:
    """Draw a panel per task; before them, where the suite has a common scale, a large one over all tasks."""
    found, look, base = _panels(board, subject), looks(board), baseline(board)
    whole = found[0].name == "" and len(found) > 1
    columns = 1 if len(found) == 1 else (3 if len(found) <= 6 else 4) if whole else min(len(found), 3)
    wide = {1: 4.2, 2: 3.2}.get(columns, 2.3 if columns == 3 else 1.75)
    grid = Panels(
        len(found), columns, width=wide, height=2.9 if columns == 1 else 1.65, left=0.5, between=0.55, large=whole
    )
    note = (
        f"Protocol {plain(board.protocol)}. Cost: seconds relative to fine-tuning's, stages shared between tasks "
        "included"
        + (", over all tasks charged once" if whole else "")
        + ". Better is up, cheaper is left. The stepped line is the Pareto front: no method is cheaper and at least "
        "as good as one on it. It is drawn through means, whatever their spread. Upright lines (none at grey) are "
        "± 1 standard deviation over seeds"
        + (", over all tasks the 95 % interval of the interquartile mean" if whole else "")
        + (". Small panels name the focus method, fine-tuning and the front" if whole else "")
        + ". Controls are not shown."
        + "".join(f" {plain(line, 200)}" for line in own_baselines(board, tables(board, subject)))
    )
    figure, axes = sheet(title(board, subject), note, grid)
    for index, (axis, panel) in enumerate(zip(axes, found, strict=True)):
        large = columns == 1 or (whole and index == 0)
        _draw(axis, panel, look, [label for label in (board.focus, base) if label], large)
    return figure


def _draw(axis: Axes, panel: Panel, look: dict[str, Look], first: list[str], large: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    best = panel.front
    spread_shown = [point for point in panel.points if look[point.row].named or point in best]
    costs = np.array([point.cost for point in panel.points])
    scores = np.array([point.score for point in panel.points])
    axis.set_xscale("log")
    spread = max(float(costs.max() / costs.min()), 1.5)
    axis.set_xlim(costs.min() / spread**0.12, costs.max() * spread**0.12)
    least, most = float(scores.min()), float(scores.max())
    reach = most - least or 0.1 * abs(most) or 0.1
    # Spreads far beyond the means are cut, so that the means keep apart.
    low = max(min([point.low for point in spread_shown]), least - 1.5 * reach)
    high = min(max([point.high for point in spread_shown]), most + 1.5 * reach)
    low, high = min(low, least) - 0.12 * reach, max(high, most) + 0.12 * reach
    axis.set_ylim(*((low, high) if panel.up else (high, low)))
    axis.grid(color="#EDEDED", linewidth=0.6)
    axis.set_axisbelow(True)
    steps = [point.cost for point in best], [point.score for point in best]
    ends = [*steps[0], axis.get_xlim()[1]], [*steps[1], steps[1][-1]]
    axis.plot(*ends, color="#6E6E6E", lw=1.0, drawstyle="steps-post", zorder=1, gid="front")
    for point in panel.points:
        shown = look[point.row]
        on = point in best
        colour = shown.colour if shown.named or not on else "#404040"
        if point in spread_shown:
            axis.plot([point.cost] * 2, [point.low, point.high], color=colour, lw=0.8, alpha=0.5, zorder=2)
        axis.plot(
            [point.cost], [point.score], marker=shown.marker, color=colour, zorder=4 if shown.named else 3,
            markersize=(6 if shown.named else 4.5) if large else (4.5 if shown.named else 3.5),
        )  # fmt: skip
    _names(axis, panel, look, first, large)
    axis.xaxis.set_major_locator(LogLocator(subs=_ticks(spread)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axis.locator_params(axis="y", nbins=6 if large else 5)
    axis.set_title(plain(panel.name, 24) or "all tasks", fontweight="bold" if not panel.name else "normal")
    axis.set_xlabel("cost, fine-tuning = 1×")
    axis.set_ylabel(panel.scale)


def _ticks(spread: float) -> tuple[float, ...]:
    """Which multiples of powers of ten an axis shows that spans about so many times its lowest value."""
    if spread < 2.5:
        return (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    return (1, 1.5, 2, 3, 5, 7) if spread < 4 else (1, 2, 3, 5) if spread < 8 else (1, 2, 5) if spread < 40 else (1, 3)


def _names(axis: Axes, panel: Panel, look: dict[str, Look], first: list[str], large: bool) -> None:
    """Name the focus method, the baseline and the front; the others where there is room, in a large panel."""
    best = {point.row for point in panel.front}

    def importance(point: Point) -> int:
        if point.row in first:
            return first.index(point.row)
        return 2 if look[point.row].named and point.row in best else 3 if point.row in best else 4

    order = sorted(range(len(panel.points)), key=lambda k: importance(panel.points[k]))
    wanted = [k for k in order if large or importance(panel.points[k]) < 4 or look[panel.points[k].row].named]
    size, box = (SMALL if large else 6.5), axis.get_window_extent()
    dpi = axis.get_figure(root=True).dpi  # type: ignore[union-attr]
    at = axis.transData.transform([(point.cost, point.score) for point in panel.points])
    points = [((x - box.x0) / dpi, (y - box.y0) / dpi) for x, y in at]
    short = 28 if large else 20
    bold = {first[0]} if first else set()
    texts = {k: plain(panel.points[k].row, short) for k in wanted}
    widths = {k: inches(text, size) * (1.12 if panel.points[k].row in bold else 1) for k, text in texts.items()}
    forced = sum(importance(panel.points[k]) < 2 for k in wanted)
    room = box.width / dpi, box.height / dpi
    lines = _lines([points[panel.points.index(point)] for point in panel.front], room)
    for k, label in place(points, widths, 1.15 * size / 72, room, forced, lines).items():
        row = panel.points[k].row
        ink = dark(look[row].colour) if look[row].named else "#404040"
        axis.text(
            label.x / room[0], label.y / room[1], texts[k], transform=axis.transAxes, fontsize=size, va="bottom",
            color=ink, fontweight="bold" if row in bold else "normal", zorder=2.5,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.4},
        )  # fmt: skip
        if label.leader:
            ends = np.array([points[k], label.leader]) / room
            axis.plot(ends[:, 0], ends[:, 1], color=ink, lw=0.5, transform=axis.transAxes, zorder=2.4)


def _lines(best: Sequence[tuple[float, float]], room: tuple[float, float]) -> list[tuple[float, float, float, float]]:
    """The steps of the front as thin boxes, in inches."""
    thin = 0.02
    right = [x for x, _ in best[1:]] + [room[0]]
    flat = [(x, y - thin, end, y + thin) for (x, y), end in zip(best, right, strict=True)]
    steep = [(x - thin, low, x + thin, high) for (_, low), (x, high) in pairwise(best)]
    return flat + steep


def _panels(board: Board, suite: str) -> list[Panel]:
    """The suite's panels that have at least two points; first the one over all tasks, which has no name."""
    found = tables(board, suite)
    every = [*([_whole(board, suite)] if len(found) > 1 else []), *(_task(board, table) for table in found)]
    return [panel for panel in every if len(panel.points) > 1]


def _task(board: Board, table: TaskTable) -> Panel:
    methods = set(compared(board))
    points = []
    for entry in table.entries:
        if entry.row in methods and entry.summary and entry.cost and entry.cost.ratio:
            mean, sd = entry.summary.mean, entry.summary.sd or 0.0
            points.append(Point(entry.row, entry.cost.ratio, mean, mean - sd, mean + sd))
    return Panel(table.name, axis_name(table), table.higher_is_better, points)


def _whole(board: Board, suite: str) -> Panel:
    """All tasks together: the interquartile mean of the error removed against the seconds of all tasks."""
    table, methods = suite_table(board, suite), set(compared(board))
    points = []
    for row in table.rows if table else []:
        if row.iqm and row.cost_ratio and row.row in methods:
            value, ends = 100 * row.iqm.value, row.iqm.interval
            low, high = (100 * ends.low, 100 * ends.high) if ends else (value, value)
            points.append(Point(row.row, row.cost_ratio, value, low, high))
    return Panel("", "error removed, % (IQM)", True, points)
