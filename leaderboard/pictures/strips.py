"""Panels that share a column of method names on their left: a line per method, best rank first, controls apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.content import Board
from leaderboard.pictures.layout import Panels, sheet
from leaderboard.pictures.rows import controls
from leaderboard.pictures.style import NAME, PALE, Look, dark, inches, looks, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEP = 0.175  # inches from a name to the next
CONTROLS_BELOW = (
    "Hollow marks below the line: null controls, which learn from shuffled validation labels and stand outside every "
    "comparison."
)


def strips(
    board: Board, order: Sequence[str], titles: Sequence[str], heading: str, note: str
) -> tuple[Figure, list[Axes], dict[str, float]]:
    """Lay out a panel per title; return the figure, its axes and the height at which each row stands."""
    null = controls(board)
    shown = {label: looks(board)[label] for label in order}
    heights: dict[str, float] = {}
    for place, label in enumerate(order):
        heights[label] = place + 0.5 * (label in null)
    columns = _columns(len(titles))
    grid = Panels(
        len(titles), columns, width=1.7 if columns > 1 else 2.9, height=STEP * (max(heights.values()) + 1),
        left=max(inches(plain(label), NAME) for label in order) + 0.15, between=0.2,
    )  # fmt: skip
    figure, axes = sheet(heading, f"{note} {CONTROLS_BELOW}" if null & set(order) else note, grid)
    for place, (axis, name) in enumerate(zip(axes, titles, strict=True)):
        axis.set_title(plain(name, 24))
        axis.set_ylim(max(heights.values()) + 0.5, -0.5)
        axis.set_yticks(list(heights.values()), [plain(label) for label in order])
        axis.tick_params(axis="y", length=0, labelsize=NAME)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="x", color="#E6E6E6", linewidth=0.6)
        axis.set_axisbelow(True)
        if place % columns:
            axis.tick_params(axis="y", labelleft=False)
        else:
            _names(axis, list(shown.values()), order, board.focus)
        if board.focus in heights:
            axis.axhspan(heights[board.focus] - 0.5, heights[board.focus] + 0.5, color=PALE, zorder=0, linewidth=0)
        below = [height for label, height in heights.items() if label in null]
        if below and min(below) > 0.5:
            axis.axhline(min(below) - 0.75, color="#B0B0B0", linewidth=0.6)
    return figure, axes, heights


def _columns(count: int) -> int:
    return count if count <= 4 else 3 if count <= 6 else 4


def _names(axis: Axes, shown: Sequence[Look], order: Sequence[str], focus: str | None) -> None:
    for text, look, label in zip(axis.get_yticklabels(), shown, order, strict=True):
        text.set_color(dark(look.colour) if look.named else "#404040")
        if label == focus:
            text.set_fontweight("bold")
