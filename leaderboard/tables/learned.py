"""Learned weights: what training ended with, and whether the null control ended elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leaderboard.content import Board, FinalWeight, LearnedWeights, TaskTable
from leaderboard.statistics.floors import ALPHA, shown
from leaderboard.tables.captions import INCOMPLETE
from leaderboard.tables.cells import DAGGER, p_value, words
from leaderboard.tables.table import NOTHING, Column, Table, TableCell, TableRow
from leaderboard.tables.words import listed, procedures, slug

Found = list[tuple[TaskTable, LearnedWeights]]


def learned_table(board: Board, tasks: Sequence[TaskTable]) -> Table | None:
    """A line per method and task, with the verdicts in words; None where nothing was learned."""
    order = dict.fromkeys(learned.row for task in tasks for learned in task.learned)
    found = [(task, learned) for row in order for task in tasks for learned in task.learned if learned.row == row]
    if not found:
        return None
    objectives = list(dict.fromkeys(weight.objective for _, learned in found for weight in learned.objectives))
    rows = []
    for task, learned in found:
        weights = {weight.objective: weight for weight in learned.objectives}
        cells = [_cell(weights.get(name), learned.no_verdict is not None) for name in objectives]
        names = [words(learned.row), words(task.name), _sizes(task, learned)]
        rows.append(TableRow(cells=[*names, *cells, *_p_values(learned)]))
    incomplete = any(cell.signs for row in rows for cell in row.cells)
    suite = tasks[0].suite
    return Table(
        name=slug(board.protocol, suite, "learned-weights"),
        title=f"Learned weights against their null on {suite} (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            Column(key="task", title="task", align="left"),
            Column(key="n", title="n"),
            *(Column(key=name, title=name) for name in objectives),
            Column(key="smallest p", title="smallest p"),
            Column(key="p (Holm)", title="p (Holm)"),
        ],
        rows=rows,
        notes=[*_verdicts(found), *([INCOMPLETE] if incomplete else []), _legend(found)],
        stub=2,
    )


def _cell(weight: FinalWeight | None, refused: bool) -> TableCell:
    if weight is None:
        return words(None)
    null = NOTHING if weight.null_mean is None else f"{weight.null_mean:.3f}"
    known = {"mean": weight.mean, "null mean": weight.null_mean}
    known |= {} if refused else {"p": weight.p, "p (Holm)": weight.p_holm}
    return TableCell(
        text=f"{weight.mean:.3f} / {null}",
        numbers={name: value for name, value in known.items() if value is not None},
        strong=weight.differs,
    )


def _sizes(task: TaskTable, learned: LearnedWeights) -> TableCell:
    incomplete = any(entry.incomplete for entry in task.entries if entry.row in (learned.row, learned.control))
    mine, null = len(learned.seeds), len(learned.null_seeds)
    numbers = {"learned": float(mine), "null": float(null)}
    return TableCell(text=f"{mine} / {null or NOTHING}", numbers=numbers, signs=DAGGER * incomplete)


def _p_values(learned: LearnedWeights) -> list[TableCell]:
    clearest = learned.clearest
    if learned.no_verdict or clearest.p is None or clearest.p_holm is None:
        return [words(None), words(None)]
    return [p_value(clearest.p), p_value(clearest.p_holm)]


def _verdicts(found: Found) -> list[str]:
    """One line per method and task that differs; what is not separated, or has the same reason, is drawn together."""
    lines: list[str] = []
    judged = [(task, learned) for task, learned in found if learned.no_verdict is None]
    for row, control in dict.fromkeys((learned.row, learned.control) for _, learned in judged):
        pairs = [(task, learned) for task, learned in judged if (learned.row, learned.control) == (row, control)]
        for task, learned in pairs:
            if weights := _differing(learned):
                lines.append(f"{row} on {task.name}: differs from its null {control} for {listed(weights)}.")
        if alike := [(task, learned) for task, learned in pairs if not _differing(learned)]:
            smallest = min(learned.clearest.p_holm or 0.0 for _, learned in alike)
            lines.append(
                f"{row} on {listed([task.name for task, _ in alike])}: no objective's weight is separated from its "
                f"null {control} (smallest p after Holm {shown(smallest)})."
            )
    notes = [f"{learned.row} on {task.name}: {learned.note}." for task, learned in found if learned.note]
    return [*lines, *_without_verdict(found), *notes]


def _differing(learned: LearnedWeights) -> list[str]:
    return [
        f"{weight.objective} ({weight.difference:+.3f}, p {shown(weight.p_holm)})"
        for weight in learned.objectives
        if weight.differs and weight.p_holm is not None
    ]


def _without_verdict(found: Found) -> list[str]:
    """One line per reason: the methods without a verdict, those on the same tasks together."""
    reasons: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for task, learned in found:
        if learned.no_verdict:
            reasons[learned.no_verdict][learned.row].append(task.name)
    return [f"No verdict for {_named(rows)}: {reason}." for reason, rows in reasons.items()]


def _named(rows: Mapping[str, Sequence[str]]) -> str:
    alike: dict[str, list[str]] = defaultdict(list)
    for row, tasks in rows.items():
        alike[listed(tasks)].append(row)
    return "; ".join(f"{listed(names)} on {tasks}" for tasks, names in alike.items())


def _legend(found: Found) -> str:
    tested = [learned for _, learned in found if learned.no_verdict is None]
    words = "Cells: mean weight at the end of training, learned / null; n likewise. Full numbers are in report.json."
    used = procedures([learned.procedure for learned in tested if learned.procedure])
    if not used:
        return words
    differs = any(weight.differs for learned in tested for weight in learned.objectives)
    rule = f"p <= {ALPHA} after Holm over the objectives of one method on one task; {used}"
    bold = f"Bold: differs from the null ({rule})." if differs else f"A weight differs from the null at {rule}."
    chance = ""
    if len(tested) > 1:
        chance = (
            f" The {len(tested)} families are not corrected against each other: where no method has a signal, "
            f"up to {ALPHA * len(tested):.2g} of them would differ by chance."
        )
    return f"{words} {bold} Unpaired because the exact paired test cannot reach 5 % at five seeds.{chance}"
