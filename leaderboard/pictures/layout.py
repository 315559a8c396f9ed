"""Where panels and names stand on a picture. Lengths are in inches unless said otherwise."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.pictures.style import LETTER, NAME, QUIET, SMALL, TITLE, Look, inches, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

EDGE = 0.12  # around everything
NARROWEST = 4.4  # of all pictures
LINE = 1.35  # height of a line of text in units of its size


@dataclass(frozen=True)
class Panels:
    """Equal panels in lines; ``large`` makes the first as large as two by two."""

    count: int
    columns: int
    width: float
    height: float
    left: float  # for the names before the first panel of a line
    between: float  # beside a panel, for the next one's numbers or this one's names
    right: float = 0.1  # after the last panel of a line
    above: float = 0.25  # for a panel's title
    below: float = 0.42  # for a panel's axis
    large: bool = False

    def places(self) -> list[tuple[int, int, int]]:
        """Line, column and extent of each panel."""
        if not self.large:
            return [(k // self.columns, k % self.columns, 1) for k in range(self.count)]
        found, cell = [(0, 0, 2)], 0
        while len(found) < self.count:
            line, column = divmod(cell, self.columns)
            if line > 1 or column > 1:
                found.append((line, column, 1))
            cell += 1
        return found


def sheet(title: str, note: str, panels: Panels, key: Sequence[Line2D] = ()) -> tuple[Figure, list[Axes]]:
    """A figure with a title, a key of lines or markers, panels, and a note below."""
    from matplotlib.figure import Figure

    places = panels.places()
    columns = max(column + extent for _, column, extent in places)
    lines = max(line + extent for line, _, extent in places)
    wide = 2 * EDGE + panels.left + columns * (panels.width + panels.between) - panels.between + panels.right
    width = max(wide, NARROWEST)
    heading, words = wrap(title, 1.08 * TITLE, width - 2 * EDGE), wrap(note, 0.9 * SMALL, width - 2 * EDGE)
    step = panels.above + panels.height + panels.below
    entries = _key_columns(key, width)
    key_height = 0.05 + ceil(len(key) / entries) * 1.6 * NAME / 72 if key else 0.0
    top = EDGE + heading.count("\n") * LINE * TITLE / 72 + LINE * TITLE / 72 + key_height
    bottom = EDGE + (words.count("\n") + 1) * LINE * SMALL / 72 if words else 0.5 * EDGE
    height = top + lines * step + bottom
    figure = Figure(figsize=(width, height))
    figure.text(EDGE / width, 1 - EDGE / height, heading, fontsize=TITLE, fontweight="bold", va="top")
    figure.text(EDGE / width, EDGE / height, words, fontsize=SMALL, color=QUIET, va="bottom", linespacing=1.2)
    if key:
        anchor = (EDGE / width, 1 - (top - key_height) / height)
        figure.legend(
            handles=list(key), loc="upper left", bbox_to_anchor=anchor, ncols=entries, borderaxespad=0,
            borderpad=0.2, handlelength=2.6, columnspacing=1.4, labelspacing=0.35,
        )  # fmt: skip
    axes = []
    for line, column, extent in places:
        x = EDGE + panels.left + column * (panels.width + panels.between)
        y = height - top - (line + extent) * step + panels.below
        w = panels.width + (extent - 1) * (panels.width + panels.between)
        h = panels.height + (extent - 1) * step
        axes.append(figure.add_axes((x / width, y / height, w / width, h / height)))
    return figure, axes


def wrap(text: str, size: float, width: float) -> str:
    """Break a text into lines that are at most about ``width`` wide."""
    return textwrap.fill(text, max(20, int(width * 72 / (size * LETTER))), break_on_hyphens=False)


def sample(name: str, look: Look, line: bool = True) -> Line2D:
    """An entry of a key."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=look.colour, ls=look.line if line else "", lw=1.6 if look.named else 0.8, markersize=5,
        marker="" if line else look.marker, markerfacecolor=look.fill, label=plain(name),
    )  # fmt: skip


def _key_columns(key: Sequence[Line2D], width: float) -> int:
    widest = max((inches(str(entry.get_label()), NAME) for entry in key), default=1.0) + 0.6
    return max(1, min(len(key), int((width - 2 * EDGE) / widest)))


def apart(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move ``heights`` as little as keeps them ``gap`` apart in their order, and between ``low`` and ``high``.

    Pool adjacent violators; cutting its levels off is the solution with bounds. Where there is no room
    the gap shrinks.
    """
    gap = min(gap, (high - low) / max(len(heights) - 1, 1))
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
