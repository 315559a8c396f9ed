"""The sentences below a score table, generated from the same object as its marks; only what occurs is explained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from leaderboard.content import Board, Summary, TaskTable
from leaderboard.statistics.floors import ALPHA
from leaderboard.tables.cells import DAGGER, OURS
from leaderboard.tables.table import MARKS
from leaderboard.tables.words import listed, metric_name, procedures, ranges

INCOMPLETE = f"{DAGGER}: fewer seeds than planned; the coverage says what lacks."


def caption(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    """Return the sentences about the scores of ``tasks``, one line each."""
    entries = [entry for task in tasks for entry in task.entries]
    shown = shown_as([entry.summary for entry in entries if entry.summary])
    lines = [f"Test scores in metric units: {shown}; {_directions(tasks)}; seeds {ranges(board.seeds)}."]
    if any(entry.incomplete for entry in entries):
        lines.append(INCOMPLETE)
    if any(entry.summary and not entry.published for entry in entries):
        lines.append(f"{OURS}: ours: no paper evaluates this combination of method and modality.")
    lines += _budgets(tasks)
    lines += _parts(tasks)
    lines += _ties(tasks)
    lines += _marks(board, tasks)
    if any(row.control_of for row in board.rows):
        lines.append(
            "Null controls learn from shuffled validation labels; they stand outside bold, marks and families."
        )
    lines.append(f"Splits: {', '.join(f'{task.name} {task.split}' for task in tasks)}.")
    return lines


def shown_as(summaries: Iterable[Summary]) -> str:
    """What stands in a cell of scores."""
    if any(summary.sd is not None for summary in summaries):
        return "mean ± standard deviation over seeds with n - 1 (n seeds)"
    return "mean (n seeds)"


def origin(board: Board) -> list[str]:
    """Return what the records were made with: backbones and software."""
    lines = [f"Backbones: {_backbones(board)}."]
    if board.software:
        versions = (f"{name} {', '.join(values)}" for name, values in board.software.items())
        lines.append(f"Software: {'; '.join(versions)}.")
    return lines


def grouped(tasks: Sequence[TaskTable], reason_of: Callable[[TaskTable], str | None]) -> list[tuple[str, str]]:
    """The tasks that share a reason, as (" on a, b" or nothing if all tasks share it, reason)."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        if reason := reason_of(task):
            reasons[reason].append(task.name)
    return [
        ("" if len(names) == len(tasks) else f" on {', '.join(names)}", reason) for reason, names in reasons.items()
    ]


def _budgets(tasks: Sequence[TaskTable]) -> list[str]:
    """What each row that searches spent: one line, by task where tasks differ."""
    spent: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for task in tasks:
        for entry in task.entries:
            if entry.budgets:
                spent[entry.row][" or ".join(map(_budget, entry.budgets))].append(task.name)
    return [
        f"{row}: "
        + "; ".join(text + (f" on {', '.join(names)}" if len(texts) > 1 else "") for text, names in texts.items())
        + ", chosen on validation."
        for row, texts in spent.items()
    ]


def _budget(budget: Mapping[str, int]) -> str:
    parts = {"pretraining_steps": "{:,} pretraining steps", "finetuning_epochs": "at most {:,} fine-tuning epochs"}
    known = [text.format(budget[name]) for name, text in parts.items() if name in budget]
    trials = f"{budget['trials']:,} trials" if "trials" in budget else "unknown trials"
    return f"{trials} ({', '.join(known)})" if known else trials


def _parts(tasks: Sequence[TaskTable]) -> list[str]:
    """Which runs met the end of memory: one line."""
    parted = {
        (entry.row, task.name): [run for run in entry.runs if run.micro_batches > 1]
        for task in tasks
        for entry in task.entries
    }
    runs = [
        f"{row} on {task} seeds {ranges([run.seed for run in some])}" for (row, task), some in parted.items() if some
    ]
    most = max((run.micro_batches for some in parted.values() for run in some), default=1)
    return [
        f"Out of memory, so the encoder went through each batch in up to {most} parts, which touches batch norm and "
        f"the draws of dropout: {'; '.join(runs)}."
    ] * bool(runs)


def _directions(tasks: Sequence[TaskTable]) -> str:
    found = {metric_name(task.metric): task.higher_is_better for task in tasks}
    return ", ".join(f"{name} {'↑ larger' if higher else '↓ smaller'} is better" for name, higher in found.items())


def _ties(tasks: Sequence[TaskTable]) -> list[str]:
    lines = []
    if any(entry.tied_with_best for task in tasks for entry in task.entries):
        lines.append(
            "Bold: the best mean and every method that a permutation test does not separate from it "
            f"(p > {ALPHA}, uncorrected). The best was picked by looking, so this is descriptive."
        )
        if names := [task.name for task in tasks if task.no_ties is None and _split_seeds(task)]:
            lines.append(
                f"On {listed(names)} the seed draws the split: there the best mean is that over the seeds that the "
                "methods with enough of them share, and bold is every method that is not worse at common seeds."
            )
    for where, rows in grouped(tasks, lambda task: listed(task.not_judged) or None):
        lines.append(f"Not judged, too few seeds{where}: {rows}.")
    return lines + [f"Nothing is bold{where}: {reason}." for where, reason in grouped(tasks, lambda task: task.no_ties)]


def _split_seeds(task: TaskTable) -> bool:
    """Whether the rows have different seeds where the seed draws the split."""
    return task.paired and len({tuple(entry.summary.seeds) for entry in task.entries if entry.summary}) > 1


def _marks(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    lines = []
    tested = [task for task in tasks if task.no_marks is None and task.comparisons]
    if tested:
        comparisons = [comparison for task in tested for comparison in task.comparisons]
        families = sorted({comparison.family_size for comparison in comparisons})
        sizes = " or ".join(f"{size} comparison{'s' * (size > 1)}" for size in families)
        used = {entry.mark for task in tested for entry in task.entries}
        signs = {sign: word for word, sign in MARKS.items() if word in used}
        what = (
            f"{' / '.join(signs)}: {' / '.join(signs.values())} than the focus method {board.focus} (p <= {ALPHA}"
            if signs
            else f"No mean is separated from that of the focus method {board.focus} (p > {ALPHA}"
        )
        lines.append(f"{what} after Holm over the {sizes} of one task; {procedures(comparisons)}).")
        effects = [f"{task.name} {task.smallest_effect:.2g}" for task in tested if task.smallest_effect is not None]
        if effects:
            lines.append(
                "Smallest difference that this many seeds find 80 % of the time (first step of Holm, "
                f"normal scores, metric units): {', '.join(effects)}."
            )
    against = f" against {board.focus}" if board.focus else ""
    return lines + [
        f"No marks{against}{where}: {reason}." for where, reason in grouped(tasks, lambda task: task.no_marks)
    ]


def _backbones(board: Board) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        found[", ".join(row.backbones)].append(row.label)
    if len(found) == 1:
        return next(iter(found))
    most = max(found, key=lambda backbones: len(found[backbones]))
    others = [f"{backbones} ({listed(rows)})" for backbones, rows in found.items() if backbones != most]
    return f"{most}; but {'; '.join(others)}"
