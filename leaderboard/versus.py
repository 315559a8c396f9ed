"""Two rows against each other, on every task that both have and over these tasks together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev

from bench.errors import RequestError, nearest
from bench.records import Record
from leaderboard.board import board
from leaderboard.compare import compare
from leaderboard.content import BASELINE, Board, Comparison, Entry, SuiteComparison, Summary, TaskTable
from leaderboard.grid import Slot, read_folders, row_labels
from leaderboard.statistics.floors import differences_needed, seeds_needed, smallest_effect, smallest_paired_effect
from leaderboard.suite_comparisons import compare_over_tasks, refusal_over_tasks, without_significance
from leaderboard.suite_scores import SuiteScores
from leaderboard.task_tests import NO_SIGNIFICANCE, TaskTests

MOST_SEEDS = 10_000  # beyond it nobody asks how many


@dataclass(frozen=True)
class Seed:
    """The scores of both rows at one seed, metric units; None where a row has no record."""

    seed: int
    scores: tuple[float | None, float | None]
    identities: tuple[str | None, str | None]
    gain: float | None  # positive where the first is better


@dataclass(frozen=True)
class TaskVersus:
    """Both rows on one task."""

    table: TaskTable
    entries: tuple[Entry, Entry]
    seeds: list[Seed]
    comparison: Comparison  # a family of one
    no_marks: str | None  # why nothing here can be significant
    needed: int | None  # seeds a row that find such a gain with probability 0.8; None beyond reach, or unknown


@dataclass(frozen=True)
class Together:
    """Both rows over the tasks of one suite, or of all where there are several."""

    name: str
    comparison: SuiteComparison  # a family of one
    no_marks: str | None  # why the sign flip cannot be significant


@dataclass(frozen=True)
class Versus:
    """Both rows under one protocol."""

    protocol: str
    rows: tuple[str, str]
    tasks: list[TaskVersus]
    together: list[Together]
    no_scale: str | None  # why nothing is said over two or more tasks together


def versus(folders: Sequence[Path], first: str, second: str, task: str | None = None) -> list[Versus]:
    """Compare two rows under every protocol in which both have records on a task.

    Parameters
    ----------
    folders: where runs wrote their records; several are merged.
    first, second: methods, or rows as the leaderboard names them.
    task: the one task to compare on, with or without its suite.

    Raises
    ------
    RequestError: as :func:`leaderboard.grid.read_folders`; if a name is not known or names several rows,
        if both name one row, or if there is no task on which both have records.
    """
    found = read_folders(folders)
    scored = [slot for slot in found.slots if slot.record]
    by_protocol = {name: [slot for slot in found.slots if slot.cell.protocol == name]
                   for name in sorted({slot.cell.protocol for slot in scored})}  # fmt: skip
    names = [_names(slots) for slots in by_protocol.values()]
    for argument, name in (("A", first), ("B", second)):
        known = {one for labels in names for one in labels}
        if name not in known:
            raise RequestError(f"{argument}: {name!r} is no method with a record here; {nearest(name, known)}")
    results: list[Versus] = []
    common: set[str] = set()
    for protocol, labels in zip(by_protocol, names, strict=True):
        if first in labels and second in labels:
            rows = _row("A", first, labels[first]), _row("B", second, labels[second])
            if rows[0] == rows[1]:
                raise RequestError(f"A and B: expected two methods, got {first!r} and {second!r}, which are one")
            own = _slots(by_protocol[protocol], rows)
            tasks = _common(own, rows)
            common |= set(tasks)
            if chosen := [name for name in tasks if task in (None, name, name.partition(":")[2])]:
                built = board(protocol, [slot for slot in own if slot.cell.task in chosen], found.plan, None)
                results.append(_versus(built, rows, own))
    if not common:
        raise RequestError(f"A and B: {first!r} and {second!r} have no record on one task under one protocol")
    if not results:
        known = common if ":" in str(task) else {name.partition(":")[2] for name in common}
        raise RequestError(f"--task: {task!r} is no task on which both have a record; {nearest(str(task), known)}")
    return results


def needed_seeds(effect: float, sd: float, paired: bool) -> int | None:
    """The fewest seeds a row with which a gain of this size is found with probability 0.8, None beyond reach.

    Parameters
    ----------
    effect: the gain.
    sd: of the scores of either row; where they are paired, of the differences.
    paired: whether the sign flip is to find it.
    """

    def finds(n: int) -> bool:
        least = (smallest_paired_effect if paired else smallest_effect)(sd, n, 1)
        return least is not None and least <= abs(effect)

    numbers = range(differences_needed(1) if paired else seeds_needed(1), MOST_SEEDS + 1)
    if effect == 0 or not finds(numbers[-1]):
        return None
    return numbers[bisect_left(numbers, True, key=finds)]


def _names(slots: Sequence[Slot]) -> dict[str, list[str]]:
    """Row labels and methods with a record -> the rows that they name."""
    labels, found = row_labels(slots), dict[str, list[str]]()
    having = {(slot.cell.method, slot.cell.backbone) for slot in slots if slot.record}
    for (method, _), label in ((pair, labels[pair]) for pair in sorted(having)):
        for name in {method, label}:
            found[name] = list(dict.fromkeys([*found.get(name, []), label]))
    return found


def _row(argument: str, name: str, rows: Sequence[str]) -> str:
    if len(rows) > 1:
        raise RequestError(f"{argument}: {name!r} ran with several backbones; expected one of {', '.join(rows)}")
    return rows[0]


def _slots(slots: Sequence[Slot], rows: Sequence[str]) -> list[Slot]:
    """The cells of the methods of ``rows``, with all backbones, so that rows keep their names; and of fine-tuning."""
    labels = row_labels(slots)
    methods = {method for (method, _), label in labels.items() if label in rows}
    return [slot for slot in slots if slot.cell.method in {*methods, BASELINE}]


def _common(slots: Sequence[Slot], rows: tuple[str, str]) -> list[str]:
    labels = row_labels(slots)
    tasks = [{slot.cell.task for slot in slots
              if slot.record and labels[slot.cell.method, slot.cell.backbone] == row} for row in rows]  # fmt: skip
    return sorted(tasks[0] & tasks[1])


def _versus(built: Board, rows: tuple[str, str], slots: Sequence[Slot]) -> Versus:
    records = [slot.record for slot in slots if slot.record]
    marks = all(record.marks for record in records)
    tasks = [_task(table, rows, records, marks) for table in built.tasks]
    tables = [one.table for one in tasks]
    suites = dict.fromkeys(table.suite for table in tables)
    groups = {suite: [table for table in tables if table.suite == suite] for suite in suites}
    if len(groups) > 1:
        groups["all"] = tables
    together: list[Together] = []
    no_scale = None
    for name, group in groups.items():
        if len(group) > 1:
            scores = SuiteScores.of(group, built.rows)
            no_scale = scores.no_scale or no_scale
            if scores.no_scale is None and not scores.common(*rows):
                no_scale = "the seed draws the splits, and the two share no seed"
            elif scores.no_scale is None:
                together.append(_together(name, rows, scores, built.protocol, marks))
    return Versus(built.protocol, rows, tasks, together, no_scale)


def _together(name: str, rows: tuple[str, str], scores: SuiteScores, protocol: str, marks: bool) -> Together:
    comparison = compare_over_tasks(*rows, scores, f"{protocol}/{name}/{rows[0]}/{rows[1]}", 1)
    if not marks:
        return Together(name, without_significance(comparison), NO_SIGNIFICANCE)
    return Together(name, comparison, refusal_over_tasks(rows[0], [comparison], marks))


def _task(table: TaskTable, rows: tuple[str, str], records: Sequence[Record], marks: bool) -> TaskVersus:
    entries = {entry.row: entry for entry in table.entries}
    first, second = entries[rows[0]], entries[rows[1]]
    scale = entries[table.baseline].summary if table.baseline else None
    tests = TaskTests(
        table.higher_is_better,
        paired=any(record.paired for record in records if record.task == table.task),
        reference=scale.mean if scale else None,
    )
    (comparison,) = compare(first, [second], f"{table.task}/{rows[0]}/{rows[1]}", tests, marks)
    assert first.summary
    assert second.summary
    seeds = _seeds(first.summary, second.summary, 1.0 if table.higher_is_better else -1.0)
    return TaskVersus(
        table=table,
        entries=(first, second),
        seeds=seeds,
        comparison=comparison,
        no_marks=tests.refusal([(first.summary, second.summary)]) if marks else NO_SIGNIFICANCE,
        needed=_needed(comparison, seeds),
    )


def _needed(comparison: Comparison, seeds: Sequence[Seed]) -> int | None:
    if comparison.pairing == "paired":
        gains = [seed.gain for seed in seeds if seed.gain is not None]
        return needed_seeds(comparison.effect, stdev(gains), True) if len(gains) > 1 else None
    if min(comparison.n_focus, comparison.n_other) < 2:
        return None  # no spread to go by
    # Equal scores have no spread either, and no effect in its units.
    sd = comparison.effect / comparison.effect_sd if comparison.effect_sd else 0.0
    return needed_seeds(comparison.effect, abs(sd), False)


def _seeds(first: Summary, second: Summary, sign: float) -> list[Seed]:
    a, b = _by_seed(first), _by_seed(second)
    found = []
    for seed in sorted(a.keys() | b.keys()):
        (one, identity), (other, other_identity) = a.get(seed, (None, None)), b.get(seed, (None, None))
        gain = None if one is None or other is None else sign * (one - other)
        found.append(Seed(seed, (one, other), (identity, other_identity), gain))
    return found


def _by_seed(summary: Summary) -> dict[int, tuple[float, str]]:
    return dict(zip(summary.seeds, zip(summary.scores, summary.identities, strict=True), strict=True))
