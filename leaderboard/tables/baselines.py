"""The fine-tuning rows that cost and error removed are counted from, in words; nothing where there is but one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from leaderboard.content import BASELINE, Board, TaskTable
from leaderboard.tables.words import listed


def own_baselines(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    """One line: which row is the baseline of which."""
    if not _several(board):
        return []
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for task in tasks:
        for entry in task.entries:
            if entry.baseline is not None and entry.baseline != entry.row:
                found[entry.baseline][entry.row] = None
    if not found:
        return []
    told = [f"{baseline} for {listed(list(rows))}" for baseline, rows in found.items()]
    return [f"Fine-tuning, from which cost and error removed are counted: {'; '.join(told)}."]


def common_baseline(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    """One line: the row on whose error the differences between two methods are scaled."""
    names = list(dict.fromkeys(task.baseline for task in tasks if task.baseline is not None))
    if not _several(board) or not names:
        return []
    return [f"Differences between methods are in shares of the error of {listed(names)}, whatever their backbones."]


def _several(board: Board) -> bool:
    return sum(row.method == BASELINE for row in board.rows) > 1
