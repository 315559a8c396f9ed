"""One protocol's part of the report: rows, tasks, comparisons, what is lacking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.records import Record
from leaderboard.compare import compare_with_focus, mark_ties, smallest_effect_seen
from leaderboard.content import Board, Entry, Lacking, Row, TaskCurves, TaskTable
from leaderboard.grid import Plan, Slot, row_labels
from leaderboard.learning import learning_curves
from leaderboard.nulls import against_nulls
from leaderboard.summary import budgets, cost, other_readouts, summarise
from leaderboard.weights import curves

BASELINE = "finetune"
FIRST_FOCUS = "tapweight"
Grid = dict[tuple[str, str], list[Slot]]  # (row label, task) -> its cells


def board(protocol: str, slots: Sequence[Slot], plan: Plan, focus: str | None, several: bool) -> Board:
    """Build the board of ``protocol`` from its cells; ``several``: whether the folder holds other protocols too.

    The board's focus is None if the asked method is not in this protocol.
    """
    labels = row_labels(slots)
    grid: Grid = defaultdict(list)
    for slot in slots:
        grid[labels[slot.cell.method, slot.cell.backbone], slot.cell.task].append(slot)
    rows = _rows(slots, labels, plan.methods)
    tasks = _tasks(slots, plan.tasks)
    chosen = _focus(rows, slots, labels, focus)
    skipped = {(pair.method, pair.task): pair.reason for pair in plan.skipped}
    return Board(
        protocol=protocol,
        focus=chosen,
        rows=rows,
        seeds=sorted({slot.cell.seed for slot in slots}),
        tasks=[
            table
            for task in tasks
            if (
                table := _task(
                    protocol, task, rows, {row.label: grid[row.label, task] for row in rows}, chosen, skipped
                )
            )
        ],
        cells=len(slots),
        missing=_lacking(rows, tasks, grid, failed=False),
        failed=_lacking(rows, tasks, grid, failed=True),
        pictures=[],
        software=_software(_records(slots)),
        suites=[],
        published=[],
        curves=_curves(rows, tasks, grid),
        origins=[],
    )


def _rows(slots: Sequence[Slot], labels: dict[tuple[str, str], str], order: Sequence[str]) -> list[Row]:
    controls = {slot.record.method: slot.record.control_of for slot in slots if slot.record}
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
    learned = {labels[record.method, record.backbone] for record in _records(slots) if record.trajectory}
    first = [row.label for row in candidates if row.method == FIRST_FOCUS]
    learning = [row.label for row in candidates if row.label in learned]
    return next(iter([*first, *learning, *(row.label for row in reversed(candidates))]), None)


def _task(
    protocol: str,
    task: str,
    rows: Sequence[Row],
    slots: dict[str, list[Slot]],
    focus: str | None,
    skipped: dict[tuple[str, str], str],
) -> TaskTable | None:
    records = {label: _records(found) for label, found in slots.items()}
    some = next((record for found in records.values() for record in found), None)
    if some is None:
        return None
    baseline = next((records[row.label] for row in rows if row.method == BASELINE and records[row.label]), [])
    entries = [
        Entry(
            row=row.label,
            summary=summarise(records[row.label]),
            readouts=other_readouts(records[row.label]),
            cost=cost(records[row.label], baseline),
            planned=len(slots[row.label]),
            skipped=skipped.get((row.method, task)),
            published=all(record.published for record in records[row.label]),
            budgets=budgets(records[row.label]),
        )
        for row in rows
    ]
    compared = [entry for entry, row in zip(entries, rows, strict=True) if row.control_of is None]
    marks = all(record.marks for found in records.values() for record in found)
    better, family = some.higher_is_better, f"{protocol}/{task}/{focus}"
    comparisons, no_marks = compare_with_focus(compared, focus, family, better, marks)
    return TaskTable(
        task=task,
        metric=some.metric,
        higher_is_better=better,
        split_checksum=some.split_checksum,
        entries=entries,
        comparisons=comparisons,
        pairwise=None,
        no_marks=no_marks,
        no_ties=mark_ties(compared, better, marks),
        smallest_effect=None if no_marks else smallest_effect_seen(compared, comparisons),
        learned=against_nulls(rows, records, f"{protocol}/{task}", marks),
    )


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
        weights = [curves(row.label, row.control_of, _records(grid[row.label, task])) for row in rows]
        learning = [learning_curves(row.label, _records(grid[row.label, task])) for row in rows]
        found.append(TaskCurves(task=task, weights=[c for c in weights if c], learning=[c for c in learning if c]))
    return [curve for curve in found if curve.weights or curve.learning]


def _software(records: Sequence[Record]) -> dict[str, list[str]]:
    """The package versions, commits and devices that occur, so that a mixture shows."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        origin = record.provenance
        for name, version in origin.get("packages", {}).items():
            found[name].add(str(version))
        if "commit" in origin:
            found["commit"].add(f"{str(origin['commit'])[:12]}{' with local changes' if origin.get('dirty') else ''}")
        if "device" in origin:
            found["device"].add(str(origin["device"]))
    return {name: sorted(values) for name, values in sorted(found.items())}


def _records(slots: Sequence[Slot]) -> list[Record]:
    return [slot.record for slot in slots if slot.record]
