"""Everything about one task under one protocol."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from bench.records import Record
from leaderboard.baselines import Baselines
from leaderboard.compare import compare_with_focus, smallest_effect_seen
from leaderboard.content import Entry, Row, TaskTable
from leaderboard.grid import Slot
from leaderboard.nulls import against_nulls
from leaderboard.origins import Origins
from leaderboard.pairwise import mark_ties, pairwise
from leaderboard.summary import budgets, cost, other_readouts, summarise
from leaderboard.task_tests import TaskTests

Grid = dict[tuple[str, str], list[Slot]]  # (row label, task) -> its cells


def task_table(
    protocol: str,
    task: str,
    rows: Sequence[Row],
    grid: Grid,
    focus: str | None,
    skipped: Mapping[tuple[str, str], str],
    origins: Origins,
    measured: Baselines,
) -> TaskTable | None:
    """Summarise and compare the rows on ``task``; None where no row has a record.

    Parameters
    ----------
    skipped: (method, task) -> why the pair is not run.
    origins: where the origins of the records are collected.
    measured: what cost and error removed are counted from.
    """
    slots = {row.label: grid[row.label, task] for row in rows}
    records = defaultdict(list, {label: records_of(found) for label, found in slots.items()})
    some = next((record for found in records.values() for record in found), None)
    if some is None:
        return None
    splits = {record.seed: record.split_checksum for found in records.values() for record in found}
    reference = records[measured.whole] if measured.whole else []
    entries = []
    for row in rows:
        own = measured.own.get((row.label, task))
        why = skipped.get((row.method, task))
        entries.append(_entry(row, slots[row.label], own, records[own or ""], why, origins))
    compared = [entry for entry, row in zip(entries, rows, strict=True) if row.control_of is None]
    marks = all(record.marks for found in records.values() for record in found)
    tests = TaskTests(
        some.higher_is_better,
        paired=some.paired,
        reference=fmean(record.score() for record in reference) if reference else None,
    )
    comparisons, no_marks = compare_with_focus(compared, focus, f"{protocol}/{task}/{focus}", tests, marks)
    no_ties, not_judged = mark_ties(compared, tests, marks)
    return TaskTable(
        task=task,
        metric=some.metric,
        higher_is_better=some.higher_is_better,
        baseline=measured.whole if reference else None,
        split_checksum=min(splits.items())[1],
        split_checksums=splits if some.paired else {},
        entries=entries,
        comparisons=comparisons,
        pairwise=pairwise(compared, f"{protocol}/{task}/all pairs", tests, marks),
        no_marks=no_marks,
        no_ties=no_ties,
        not_judged=not_judged,
        smallest_effect=None if no_marks else smallest_effect_seen(compared, comparisons, tests),
        learned=against_nulls(rows, records, f"{protocol}/{task}", marks),
    )


def _entry(
    row: Row, slots: Sequence[Slot], own: str | None, tuned: Sequence[Record], skipped: str | None, origins: Origins
) -> Entry:
    """One row on one task; ``own`` is its fine-tuning row, with the records ``tuned``."""
    records = records_of(slots)
    return Entry(
        row=row.label,
        summary=summarise(records),
        runs=[origins.run(slot) for slot in sorted(slots, key=_seed) if slot.record],
        readouts=other_readouts(records),
        baseline=own,
        cost=cost(records, tuned),
        planned=len(slots),
        skipped=skipped,
        published=all(record.published for record in records),
        budgets=budgets(records),
    )


def records_of(slots: Iterable[Slot]) -> list[Record]:
    """The records there are."""
    return [slot.record for slot in slots if slot.record]


def _seed(slot: Slot) -> int:
    return slot.cell.seed
