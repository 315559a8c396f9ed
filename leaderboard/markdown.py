"""The report as Markdown, readable as it stands in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10

from leaderboard.caption import OURS, caption, metric_name, ranges
from leaderboard.content import Board, Comparison, Cost, Entry, Lacking, Report, Row, Summary, TaskTable
from leaderboard.learned import against_null
from leaderboard.statistics.floors import shown
from leaderboard.text import NOTHING, bullets, escaped, table

MARKS = {"better": "▲", "worse": "▼"}


def render(report: Report) -> str:
    """Return the whole report as Markdown text."""
    blocks = ["# Leaderboard"]
    if not report.boards:
        blocks.append("No records yet.")
    for board in report.boards:
        blocks += _board(board)
    if report.skipped:
        rows = [[pair.method, pair.task, pair.reason] for pair in report.skipped]
        blocks += ["## Skipped", table(["method", "task", "reason"], rows)]
    if report.damaged:
        blocks += [
            "## Damaged files",
            "No whole records; their cells are not counted as done.",
            bullets(report.damaged),
        ]
    if report.set_aside:
        text = "Left out: the plan, or a record, has another identity for their cells (other settings or code)."
        blocks += ["## Set aside", text, bullets(report.set_aside)]
    return "\n\n".join(blocks) + "\n"


def _board(board: Board) -> list[str]:
    blocks = [f"## Protocol {board.protocol}", _counts(board)]
    for suite in dict.fromkeys(task.suite for task in board.tasks):
        tasks = [task for task in board.tasks if task.suite == suite]
        blocks += [f"### {escaped(suite)}", _scores(board, tasks), bullets(caption(board, tasks))]
        if any(task.comparisons for task in tasks):
            blocks += [f"#### {escaped(board.focus or '')} against each other method", _comparisons(tasks), _LEGEND]
        if readouts := _readouts(board, tasks):
            blocks += ["#### Other read-outs", readouts]
        if any(task.learned for task in tasks):
            blocks += ["#### Learned weights against their null", *against_null(tasks)]
        blocks += ["#### Cost", _costs(board, tasks), _COST_LEGEND]
    if board.pictures:
        blocks.append("### How the weights moved")
        blocks += [f"![objective weights on {escaped(picture.task)}]({picture.file})" for picture in board.pictures]
    if board.missing:
        blocks += ["### Missing cells", _lacking(board.missing)]
    if board.failed:
        blocks += ["### Failed cells", _lacking(board.failed)]
    return blocks


def _counts(board: Board) -> str:
    missing, failed = (sum(len(item.seeds) for item in items) for items in (board.missing, board.failed))
    if not missing + failed:
        return f"All {board.cells} cells done."
    return f"**{missing} of {board.cells} cells missing, {failed} failed.**"


def _scores(board: Board, tasks: Sequence[TaskTable]) -> str:
    head = ["method"]
    for task in tasks:
        head.append(f"{task.name} ({metric_name(task.metric)} {'↑' if task.higher_is_better else '↓'})")
    lines: list[list[str]] = []
    for index, row in enumerate(board.rows):
        if row.control_of and not any(line[0] == "*controls*" for line in lines):
            lines.append(["*controls*", *[""] * len(tasks)])
        lines.append([_name(row, board.focus), *(_score(task.entries[index], _decimals(task)) for task in tasks)])
    return table(head, lines)


def _name(row: Row, focus: str | None) -> str:
    role = f" (control of {row.control_of})" if row.control_of else " (focus)" if row.label == focus else ""
    return row.label + role


def _score(entry: Entry, decimals: int) -> str:
    if entry.summary is None:
        return f"{NOTHING} (0)†" if entry.planned else "skipped" if entry.skipped else NOTHING
    text = _mean(entry.summary, decimals)
    text = f"**{text}**" if entry.tied_with_best else text
    signs = "†" * entry.incomplete + OURS * (not entry.published)
    return f"{text} ({entry.summary.n}){signs}{' ' + MARKS[entry.mark] if entry.mark else ''}"


def _mean(summary: Summary, decimals: int) -> str:
    spread = "" if summary.sd is None else f" ± {summary.sd:.{decimals}f}"
    return f"{summary.mean:.{decimals}f}{spread}"


def _decimals(task: TaskTable) -> int:
    """Three decimals, more where a column's smallest mean would lose significant digits."""
    means = [abs(entry.summary.mean) for entry in task.entries if entry.summary and entry.summary.mean]
    return min(9, max(3, 2 - floor(log10(min(means))))) if means else 3


_LEGEND = (
    "Gain: difference of means, positive where the focus method is better, in metric units and in pooled standard "
    "deviations. P(better): share of pairs of runs that the focus method wins, ties half. p: two-sided; Holm within "
    "one task. r: correlation of the two methods' scores over common seeds. †: fewer seeds than planned on a side."
)


def _comparisons(tasks: Sequence[TaskTable]) -> str:
    head = ["task", "other method", "n", "gain", "gain / sd", "P(better)", "p", "p (Holm)", "r", "statistic"]
    rows = [_comparison(task, comparison) for task in tasks for comparison in task.comparisons]
    return table(head, rows)


def _comparison(task: TaskTable, found: Comparison) -> list[str]:
    refused = task.no_marks is not None
    return [
        task.name,
        found.other,
        f"{found.n_focus} v {found.n_other}{'†' * found.incomplete}",
        f"{found.effect:+.{_decimals(task)}f}",
        NOTHING if found.effect_sd is None else f"{found.effect_sd:+.2f}",
        f"{found.probability_better:.2f}",
        NOTHING if refused or found.p is None else shown(found.p),
        NOTHING if refused or found.p_holm is None else shown(found.p_holm),
        NOTHING if found.seed_correlation is None else f"{found.seed_correlation:+.2f}",
        found.statistic,
    ]


def _readouts(board: Board, tasks: Sequence[TaskTable]) -> str | None:
    names = {(row.label, name): None for index, row in enumerate(board.rows) for task in tasks
             for name in task.entries[index].readouts}  # fmt: skip
    by_label = {row.label: index for index, row in enumerate(board.rows)}
    rows = []
    for label, name in names:
        found = [(task, task.entries[by_label[label]].readouts.get(name)) for task in tasks]
        cells = [f"{_mean(value, _decimals(task))} ({value.n})" if value else NOTHING for task, value in found]
        rows.append([label, name, *cells])
    return table(["method", "read-out", *(task.name for task in tasks)], rows) if rows else None


_COST_LEGEND = (
    "Per cell, mean over seeds: wall seconds of its own stages; cost relative to finetune = 1, with shared stages that "
    "finetune has not charged in full, as if this were the only task; largest peak memory. Last column: wall seconds "
    "of shared stages, paid once for all tasks."
)


def _costs(board: Board, tasks: Sequence[TaskTable]) -> str:
    rows = []
    for index, row in enumerate(board.rows):
        costs = [task.entries[index].cost for task in tasks]
        shared: dict[str, float] = {}
        for cost in costs:
            shared |= cost.shared_seconds if cost else {}
        stages = ", ".join(f"{stage} {_seconds(value)}" for stage, value in shared.items())
        rows.append([row.label, *(_cost(cost) for cost in costs), stages or NOTHING])
    return table(["method", *(task.name for task in tasks), "shared"], rows)


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return NOTHING
    ratio = "" if cost.ratio is None else f", {cost.ratio:.2f} x"
    return f"{_seconds(cost.seconds)}{ratio}, {cost.peak_memory_bytes / 2**20:,.0f} MiB"


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def _lacking(items: Sequence[Lacking]) -> str:
    failed = any(item.reason is not None for item in items)
    rows = [[item.row, item.task, ranges(item.seeds), *([item.reason or ""] if failed else [])] for item in items]
    return table(["method", "task", "seeds", *(["reason"] if failed else [])], rows)
