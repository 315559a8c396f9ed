"""The section about learned weights: what training ended with, and whether the null control ended elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leaderboard.caption import procedures
from leaderboard.content import FinalWeight, LearnedWeights, TaskTable
from leaderboard.statistics.floors import ALPHA, shown
from leaderboard.text import NOTHING, bullets, listed, table

Found = list[tuple[TaskTable, LearnedWeights]]


def against_null(tasks: Sequence[TaskTable]) -> list[str]:
    """Return the blocks of the section: a line per method and task, the verdicts in words, the legend."""
    rows = dict.fromkeys(learned.row for task in tasks for learned in task.learned)
    found = [(task, learned) for row in rows for task in tasks for learned in task.learned if learned.row == row]
    return [_table(found), bullets(_verdicts(found)), _legend(found)]


def _table(found: Found) -> str:
    objectives = list(dict.fromkeys(weight.objective for _, learned in found for weight in learned.objectives))
    rows = []
    for task, learned in found:
        weights = {weight.objective: weight for weight in learned.objectives}
        cells = [_cell(weights.get(name)) for name in objectives]
        rows.append([learned.row, task.name, _sizes(task, learned), *cells, *_p_values(learned)])
    return table(["method", "task", "n", *objectives, "smallest p", "p (Holm)"], rows)


def _cell(weight: FinalWeight | None) -> str:
    if weight is None:
        return NOTHING
    null = NOTHING if weight.null_mean is None else f"{weight.null_mean:.3f}"
    text = f"{weight.mean:.3f} / {null}"
    return f"**{text}**" if weight.differs else text


def _sizes(task: TaskTable, learned: LearnedWeights) -> str:
    incomplete = any(entry.incomplete for entry in task.entries if entry.row in (learned.row, learned.control))
    return f"{len(learned.seeds)} / {len(learned.null_seeds) or NOTHING}{'†' * incomplete}"


def _p_values(learned: LearnedWeights) -> list[str]:
    clearest = learned.clearest
    if learned.no_verdict or clearest.p is None or clearest.p_holm is None:
        return [NOTHING, NOTHING]
    return [shown(clearest.p), shown(clearest.p_holm)]


def _verdicts(found: Found) -> list[str]:
    """One line per method and task that differs; what agrees, or has the same reason, is drawn together."""
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
                f"{row} on {listed([task.name for task, _ in alike])}: no objective's weight differs from its null "
                f"{control} (smallest p after Holm {shown(smallest)})."
            )
    return [*lines, *_without_verdict(found), *_notes(found)]


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


def _notes(found: Found) -> list[str]:
    return [f"{learned.row} on {task.name}: {learned.note}." for task, learned in found if learned.note]


def _legend(found: Found) -> str:
    tested = [learned for _, learned in found if learned.no_verdict is None]
    words = "Cells: mean weight at the end of training, learned / null; n likewise. Full numbers are in report.json."
    used = procedures([learned.procedure for learned in tested if learned.procedure])
    if not used:
        return words
    chance = ""
    if len(tested) > 1:
        chance = (
            f" The {len(tested)} families are not corrected against each other: where no method has a signal, "
            f"up to {ALPHA * len(tested):.2g} of them would differ by chance."
        )
    return (
        f"{words} **Bold**: differs from the null (p <= {ALPHA} after Holm over the objectives of one method on one "
        f"task; {used}). Unpaired because the exact paired test cannot reach 5 % at five seeds.{chance}"
    )
