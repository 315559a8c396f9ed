"""One protocol's part of the report: rows, tasks, comparisons, what is lacking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from leaderboard.baselines import baselines
from leaderboard.content import BASELINE, Board, Lacking, Row, SuiteTable, TaskCurves, TaskTable
from leaderboard.grid import Plan, Slot, row_labels
from leaderboard.learning import learning_curves
from leaderboard.origins import Origins, software
from leaderboard.published import published_costs_for, published_for
from leaderboard.settings import mixed_settings
from leaderboard.statistics.holm import holm
from leaderboard.suite import suite_table
from leaderboard.task import Grid, records_of, task_table
from leaderboard.weights import curves, learned

FIRST_FOCUS = "tapweight"


def board(protocol: str, slots: Sequence[Slot], plan: Plan, focus: str | None) -> Board:
    """Build the board of ``protocol`` from its cells.

    The board's focus is None if the asked method is not in this protocol.
    """
    labels = row_labels(slots)
    grid: Grid = defaultdict(list)
    for slot in slots:
        grid[labels[slot.cell.method, slot.cell.backbone], slot.cell.task].append(slot)
    rows, names = _rows(slots, labels, plan), _tasks(slots, plan.tasks)
    chosen, origins = _focus(rows, slots, labels, focus), Origins()
    skipped = {(pair.method, pair.task): pair.reason for pair in plan.skipped}
    tasks = []
    for suite in dict.fromkeys(name.partition(":")[0] for name in names):
        own = [name for name in names if name.partition(":")[0] == suite]
        measured = baselines(rows, own, grid)
        found = [task_table(protocol, name, rows, grid, chosen, skipped, origins, measured) for name in own]
        tasks += [task for task in found if task]
    _correct_over_tasks(tasks)
    return Board(
        protocol=protocol,
        focus=chosen,
        rows=rows,
        seeds=sorted({slot.cell.seed for slot in slots}),
        tasks=tasks,
        suites=_suites(protocol, names, tasks, rows, chosen, all(record.marks for record in records_of(slots))),
        published=published_for([task.task for task in tasks]),
        published_costs=published_costs_for([task.task for task in tasks]),
        curves=_curves(rows, names, grid),
        cells=len(slots),
        missing=_lacking(rows, names, grid, failed=False),
        failed=_lacking(rows, names, grid, failed=True),
        mixed_settings=mixed_settings(records_of(slots)),
        pictures=[],
        software=software(records_of(slots)),
        origins=origins.found,
    )


def _rows(slots: Sequence[Slot], labels: dict[tuple[str, str], str], plan: Plan) -> list[Row]:
    controls = {cell.method: cell.control_of for cell in plan.cells}
    controls |= {record.method: record.control_of for record in records_of(slots)}
    order = plan.methods
    rows: dict[str, Row] = {}
    for (method, backbone), label in labels.items():
        row = rows.setdefault(label, Row(label=label, method=method, backbones=[], control_of=controls.get(method)))
        row.backbones.append(backbone)

    def place(row: Row) -> tuple[bool, int, bool, str]:
        planned = order.index(row.method) if row.method in order else len(order)
        return row.control_of is not None, planned, row.method != BASELINE, row.label

    for control in rows.values():
        # Where the controlled method has a row per backbone, the control belongs to that of its own.
        for row in rows.values():
            if row.method == control.control_of and set(row.backbones) & set(control.backbones):
                control.control_of = row.label
                break
    return sorted(rows.values(), key=place)


def _tasks(slots: Sequence[Slot], order: Sequence[str]) -> list[str]:
    names = {slot.cell.task for slot in slots}
    ordered = [*(task for task in dict.fromkeys(order) if task in names), *sorted(names - set(order))]
    suites = list(dict.fromkeys(task.partition(":")[0] for task in ordered))
    return sorted(ordered, key=lambda task: suites.index(task.partition(":")[0]))


def _focus(
    rows: Sequence[Row], slots: Sequence[Slot], labels: dict[tuple[str, str], str], asked: str | None
) -> str | None:
    candidates = [row for row in rows if row.control_of is None]
    if asked is not None:
        named = [row.label for row in candidates if asked == row.label]
        return next(iter([*named, *(row.label for row in candidates if asked == row.method)]), None)
    learners = {labels[record.method, record.backbone] for record in records_of(slots) if learned(record)}
    first = [row.label for row in candidates if row.method == FIRST_FOCUS]
    learning = [row.label for row in candidates if row.label in learners]
    return next(iter([*first, *learning, *(row.label for row in reversed(candidates))]), None)


def _correct_over_tasks(tasks: Sequence[TaskTable]) -> None:
    """Set Holm's correction over the comparisons of all tasks together."""
    tested = [comparison for task in tasks for comparison in task.comparisons if comparison.p is not None]
    for comparison, p in zip(tested, holm([comparison.p or 0.0 for comparison in tested]), strict=True):
        comparison.p_holm_all = p


def _suites(
    protocol: str,
    names: Sequence[str],
    tasks: Sequence[TaskTable],
    rows: Sequence[Row],
    focus: str | None,
    marks: bool,
) -> list[SuiteTable]:
    found = []
    for suite in dict.fromkeys(task.suite for task in tasks):
        own = [task for task in tasks if task.suite == suite]
        present = {entry.row for task in own for entry in task.entries if entry.summary}
        shown = [row for row in rows if row.label in present]
        table = suite_table(suite, own, shown, focus, marks, f"{protocol}/{suite}/{focus}")
        table.unrecorded = [name for name in names if name.partition(":")[0] == suite and name not in table.tasks]
        found.append(table)
    return found


def _lacking(rows: Sequence[Row], tasks: Sequence[str], grid: Grid, failed: bool) -> list[Lacking]:
    found: list[Lacking] = []
    for row in rows:
        for task in tasks:
            seeds: dict[str | None, list[int]] = defaultdict(list)
            for slot in grid[row.label, task]:
                if slot.record is None and (slot.reason is not None) == failed:
                    seeds[slot.reason].append(slot.cell.seed)
            found += [
                Lacking(row=row.label, task=task, seeds=sorted(numbers), reason=reason)
                for reason, numbers in seeds.items()
            ]
    return found


def _curves(rows: Sequence[Row], tasks: Sequence[str], grid: Grid) -> list[TaskCurves]:
    found = []
    for task in tasks:
        weights = [curves(row.label, row.control_of, records_of(grid[row.label, task])) for row in rows]
        learning = [learning_curves(row.label, records_of(grid[row.label, task])) for row in rows]
        found.append(TaskCurves(task=task, weights=[c for c in weights if c], learning=[c for c in learning if c]))
    return [curve for curve in found if curve.weights or curve.learning]
