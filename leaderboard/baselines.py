"""Which row of fine-tuning the cost of a row, and the error that it removes, are counted from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.content import BASELINE, Row
from leaderboard.grid import Slot

Grid = Mapping[tuple[str, str], Sequence[Slot]]  # (row label, task) -> its cells


@dataclass(frozen=True)
class Baselines:
    """The baselines of one suite.

    ``whole`` is the one fine-tuning row on whose error differences between rows are scaled: that with a record on
    the most tasks, the first of equals; None without any. ``own`` maps (row label, task) -> the row's baseline.
    """

    whole: str | None
    own: Mapping[tuple[str, str], str]


def baselines(rows: Sequence[Row], tasks: Sequence[str], grid: Grid) -> Baselines:
    """Choose the baselines of the rows on ``tasks``, which are those of one suite.

    A row is measured against the fine-tuning row of its own backbone if that has a record on each of its tasks,
    else against the suite's one baseline on all of them: never on some tasks against the one, on some the other.
    """
    backbone = {
        (row.label, task): slot.record.backbone
        for row in rows
        for task in tasks
        for slot in grid[row.label, task]
        if slot.record
    }
    tuned = [row.label for row in rows if row.method == BASELINE]
    count = {label: sum((label, task) in backbone for task in tasks) for label in tuned}
    whole = max((label for label in tuned if count[label]), key=lambda label: count[label], default=None)
    own: dict[tuple[str, str], str] = {}
    for row in rows:
        present = [task for task in tasks if (row.label, task) in backbone]
        alike = {
            (row.label, task): label
            for task in present
            for label in tuned
            if backbone.get((label, task)) == backbone[row.label, task]
        }
        if len(alike) == len(present):
            own |= alike
        elif whole is not None:
            own |= {(row.label, task): whole for task in present if (whole, task) in backbone}
    return Baselines(whole, own)
