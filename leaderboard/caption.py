"""The words below a score table, generated from the same object as its marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from leaderboard.content import Board, Procedure, TaskTable
from leaderboard.statistics.floors import ALPHA

OURS = "°"
METRICS = {"roc_auc": "ROC-AUC", "rmse": "RMSE", "mae": "MAE"}


def caption(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    """Return the sentences about the tables of ``tasks``, one line each."""
    entries = [entry for task in tasks for entry in task.entries]
    lines = [
        f"Test scores in metric units: mean ± standard deviation over seeds with n - 1 (n seeds); "
        f"{_directions(tasks)}; seeds {ranges(board.seeds)}."
    ]
    if any(entry.incomplete for entry in entries):
        lines.append("†: fewer seeds than planned; what lacks is named below.")
    if any(entry.summary and not entry.published for entry in entries):
        lines.append(f"{OURS}: ours: no paper evaluates this combination of method and modality.")
    lines += _budgets(tasks)
    lines += _ties(tasks)
    lines += _marks(board, tasks)
    if any(row.control_of for row in board.rows):
        lines.append(
            "Null controls learn from shuffled validation labels; they stand outside bold, marks and families."
        )
    lines.append(f"Splits: {', '.join(f'{task.name} {task.split_checksum[:16]}' for task in tasks)}.")
    lines.append(f"Backbones: {_backbones(board)}.")
    if board.software:
        lines.append(f"Software: {'; '.join(f'{name} {_joined(values)}' for name, values in board.software.items())}.")
    return lines


def metric_name(metric: str) -> str:
    """The metric's usual spelling."""
    return METRICS.get(metric, metric)


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers with runs joined: 0-4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def procedures(found: Sequence[Procedure]) -> str:
    """Name the tests that were done, each kind once."""
    kinds: dict[str, None] = {}
    for one in found:
        how = (
            f"exact over {one.splits:,} splits"
            if one.exact
            else f"{one.splits:,} draws, generator seed {one.generator_seed}"
        )
        unequal = " (n differs)" if one.statistic == "Welch t" else ""
        kinds[f"two-sided {one.pairing} permutation test of the {one.statistic}{unequal}, {how}"] = None
    return "; ".join(kinds)


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
    return (
        f"{budget['trials']:,} trials ({budget['pretraining_steps']:,} pretraining steps, "
        f"at most {budget['finetuning_epochs']:,} fine-tuning epochs)"
    )


def _directions(tasks: Sequence[TaskTable]) -> str:
    found = {metric_name(task.metric): task.higher_is_better for task in tasks}
    return ", ".join(f"{name} {'↑ larger' if higher else '↓ smaller'} is better" for name, higher in found.items())


def _ties(tasks: Sequence[TaskTable]) -> list[str]:
    lines = []
    if any(task.no_ties is None for task in tasks):
        lines.append(
            "**Bold**: the best mean and every method that a permutation test does not separate from it "
            f"(p > {ALPHA}, uncorrected). The best was picked by looking, so this is descriptive."
        )
    return lines + [f"Nothing is bold{where}: {reason}." for where, reason in _grouped(tasks, "no_ties")]


def _marks(board: Board, tasks: Sequence[TaskTable]) -> list[str]:
    lines = []
    marked = [task for task in tasks if task.no_marks is None]
    if marked:
        families = sorted({comparison.family_size for task in marked for comparison in task.comparisons})
        lines.append(
            f"▲ / ▼: better / worse than the focus method {board.focus} (p <= {ALPHA} after Holm over the "
            f"{_joined([str(size) for size in families], ' or ')} comparisons of one task; "
            f"{procedures([comparison for task in marked for comparison in task.comparisons])})."
        )
        effects = [f"{task.name} {task.smallest_effect:.2g}" for task in marked if task.smallest_effect is not None]
        if effects:
            lines.append(
                "Smallest difference that this many seeds find 80 % of the time (first step of Holm, "
                f"t approximation, metric units): {', '.join(effects)}."
            )
    return lines + [
        f"No marks against {board.focus}{where}: {reason}." for where, reason in _grouped(tasks, "no_marks")
    ]


def _grouped(tasks: Sequence[TaskTable], name: str) -> list[tuple[str, str]]:
    """The tasks that share a reason, as (" on a, b" or nothing if all tasks share it, reason)."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        if reason := getattr(task, name):
            reasons[reason].append(task.name)
    return [
        ("" if len(names) == len(tasks) else f" on {', '.join(names)}", reason) for reason, names in reasons.items()
    ]


def _backbones(board: Board) -> str:
    found: dict[str, list[str]] = defaultdict(list)
    for row in board.rows:
        found[_joined(row.backbones)].append(row.label)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{backbone} ({', '.join(rows)})" for backbone, rows in found.items())


def _joined(values: Sequence[str], by: str = ", ") -> str:
    return by.join(values)
