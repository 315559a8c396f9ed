"""Why a choice of focus method allows no marks on a task: the page lets the reader choose, so each is judged."""

from __future__ import annotations

from leaderboard.content import Board, TaskTable
from leaderboard.task_tests import TaskTests


def refusals(board: Board, task: TaskTable) -> list[str | None]:
    """Return for each row of the board, as the focus, one line that says why there are no marks, or None.

    The family of a focus is the focus against every other row with a record, controls left out.
    """
    return [_refusal(board, task, place) for place in range(len(board.rows))]


def _refusal(board: Board, task: TaskTable, place: int) -> str | None:
    row = board.rows[place]
    if row.label == board.focus:
        return task.no_marks
    if row.control_of:
        return "a control is never the focus"
    own = task.entries[place].summary
    if own is None:
        return f"the focus method {row.label} has no record on this task"
    others = [
        entry.summary
        for other, entry in zip(board.rows, task.entries, strict=True)
        if other.label != row.label and not other.control_of and entry.summary
    ]
    if not others:
        return "no other method has a record on this task"
    if task.pairwise is None or row.label not in task.pairwise.rows:
        return f"this report holds no tests of {row.label}; write one with --focus {row.label}"
    if all(p is None for p in task.pairwise.p[task.pairwise.rows.index(row.label)]):
        return task.pairwise.no_marks or task.no_marks or "nothing was tested"
    return TaskTests(task.higher_is_better, task.pairwise.pairing == "paired").refusal(
        [(own, other) for other in others]
    )
