"""Where a name can stand beside its point without covering another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot

Box = tuple[float, float, float, float]  # left, low, right, high
AWAY = 0.06  # inches from a point to its name
DOT = 0.035  # half the width of a point


@dataclass(frozen=True)
class Label:
    """A name to write with its lower left corner at (x, y)."""

    x: float
    y: float
    leader: tuple[float, float] | None  # where a line from the point ends, if the name is not close to it


def place(
    points: Sequence[tuple[float, float]],
    widths: Mapping[int, float],
    height: float,
    size: tuple[float, float],
    forced: int = 0,
    lines: Sequence[Box] = (),
) -> dict[int, Label]:
    """Choose a place for the name of each point in ``widths``, earlier ones first. Lengths in inches.

    Parameters
    ----------
    points: all points of the panel; names keep off them.
    widths: index of a point -> width of its name.
    size: of the panel; names stay inside.
    lines: what a name had better not cross.
    forced: so many of the first names are placed even where they cover something; others are left out then.
    """
    taken: list[Box] = []
    dots = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points]
    found: dict[int, Label] = {}
    for order, (index, width) in enumerate(widths.items()):
        boxes = list(_around(points[index], width, height))
        others = [dot for place, dot in enumerate(dots) if place != index]
        costs = [
            (
                3 * _outside(box, size) + sum(2 * _common(box, other) for other in taken)
                + sum(_common(box, dot) for dot in others),
                sum(_common(box, line) for line in lines) + 1e-4 * place,
            )
            for place, box in enumerate(boxes)
        ]  # fmt: skip
        best = min(range(len(boxes)), key=lambda place: (round(costs[place][0], 9), costs[place][1]))
        if costs[best][0] > 1e-9 and order >= forced:
            continue
        taken.append(boxes[best])
        found[index] = Label(*boxes[best][:2], _leader(points[index], boxes[best]))
    return found


def _around(point: tuple[float, float], width: float, height: float) -> Sequence[Box]:
    x, y = point
    lefts = (x + AWAY, x - AWAY - width, x - width / 2, x - 0.15 * width, x - 0.85 * width)
    corners = [(lefts[0], y - height / 2), (lefts[1], y - height / 2)]
    for far in (1.0, 1.8, 2.8):
        for low in (y + far * AWAY, y - far * AWAY - height):
            corners += [(left, low) for left in lefts]
    return [(left, low, left + width, low + height) for left, low in corners]


def _leader(point: tuple[float, float], box: Box) -> tuple[float, float] | None:
    """The point of the box that is nearest, unless it is near anyway."""
    x, y = (min(max(value, box[side]), box[side + 2]) for side, value in enumerate(point))
    return (x, y) if hypot(x - point[0], y - point[1]) > 1.5 * AWAY else None


def _common(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: Box, size: tuple[float, float]) -> float:
    """Area of a box beyond the panel."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _common(box, (0.0, 0.0, *size))
