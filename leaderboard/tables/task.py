"""One task: every row with its comparison, and the p-values of all pairs."""

from __future__ import annotations

from leaderboard.content import Board, Comparison, TaskTable
from leaderboard.statistics.floors import ALPHA
from leaderboard.tables.baselines import common_baseline
from leaderboard.tables.captions import INCOMPLETE, caption
from leaderboard.tables.cells import DAGGER, interval, number, p_value, score, words
from leaderboard.tables.reference import references
from leaderboard.tables.suite import row_name, task_column
from leaderboard.tables.table import Column, Table, TableCell, TableRow
from leaderboard.tables.words import decimals, listed, slug, unit

GAIN = (
    "Gain: difference of means, positive where the focus method is better, in metric units, in pooled standard "
    "deviations (gain / sd) and in shares of fine-tuning's error (error removed)"
)
ALL_TASKS = "p (Holm, all tasks)"


def task_table(board: Board, task: TaskTable) -> Table:
    """One row per method: score, and how the focus method compares with it."""
    against = {comparison.other: comparison for comparison in task.comparisons}
    published, sources = references(board, [task])
    columns = _columns(task)
    rows = [
        TableRow(
            cells=[
                words(row_name(row, board.focus)),
                score(entry, decimals(task)),
                *(_comparison(task, against.get(row.label), entry.incomplete) if against else []),
            ],
            section="controls" if row.control_of else None,
        )
        for row, entry in zip(board.rows, task.entries, strict=True)
    ]
    rows += [reference.row([task], [TableCell()] * (len(columns) - 2)) for reference in published]
    return Table(
        name=slug(board.protocol, task.task),
        title=f"{task.name}, {unit(task)} (protocol {board.protocol})",
        columns=columns,
        rows=rows,
        notes=[
            *caption(board, [task]),
            *_notes(task),
            *(common_baseline(board, [task]) if task.comparisons else []),
            *sources,
        ],
    ).without_empty()


def pairwise_table(board: Board, task: TaskTable) -> Table | None:
    """Raw p-values above the diagonal, corrected ones below; None where no pair can be significant."""
    pairs = task.pairwise
    if pairs is None or pairs.no_marks:
        return None
    size = range(len(pairs.rows))
    rows = []
    for i in size:
        cells = [words(pairs.rows[i])]
        for j in size:
            cell = TableCell() if i == j else p_value(pairs.p[i][j] if i < j else pairs.p_holm[i][j])
            cells.append(cell.model_copy(update={"strong": i > j and (cell.sort_by or 0.0) <= ALPHA}))
        rows.append(TableRow(cells=cells))
    bold = any(cell.strong for row in rows for cell in row.cells)
    return Table(
        name=slug(board.protocol, task.task, "pairwise"),
        title=f"p-values of every pair on {task.name} (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            *(Column(key=f"against {row}", title=row) for row in pairs.rows),
        ],
        rows=rows,
        notes=[
            "Above the diagonal: two-sided p of a permutation test of the row against the column. Below: after Holm "
            f"over all {pairs.family_size} pairs of the task.",
            *([f"Bold: separated (p <= {ALPHA} after Holm)."] if bold else []),
            "No pair was chosen beforehand, so this describes; the comparisons with the focus method are the test.",
        ],
    )


def _columns(task: TaskTable) -> list[Column]:
    columns = [Column(key="method", title="method", align="left"), task_column(task)]
    columns[1].key, columns[1].title = "score", "score"
    if task.comparisons:
        names = ("gain", "95 % interval", "gain / sd", "error removed", "P(better)", "p", "p (Holm)", ALL_TASKS, "r")
        columns += [Column(key=name, title=name) for name in names]
        columns.append(Column(key="statistic", title="statistic", align="left"))
    return columns


def _comparison(task: TaskTable, found: Comparison | None, incomplete: bool) -> list[TableCell]:
    if found is None:  # the focus method itself, a control, or a row without a record
        return [TableCell()] * 10
    refused = task.no_marks is not None
    form = f"+z.{decimals(task)}f"
    return [
        # The score's own cell shows where this row lacks seeds.
        number(found.effect, form, DAGGER * (found.incomplete and not incomplete)),
        interval(found.interval, form),
        number(found.effect_sd, "+z.2f"),
        number(found.effect_error_removed, "+z.3f"),
        number(found.probability_better, ".2f"),
        p_value(None if refused else found.p),
        p_value(None if refused else found.p_holm),
        p_value(None if refused else found.p_holm_all),
        number(found.seed_correlation, "+z.2f"),
        words(found.statistic),
    ]


def _notes(task: TaskTable) -> list[str]:
    if not task.comparisons:
        return []
    shifts = ""
    if any(comparison.interval for comparison in task.comparisons):
        shifts = " 95 % interval: the gains that the test does not reject, uncorrected."
    over_all = ""
    if task.no_marks is None and any(comparison.p_holm_all is not None for comparison in task.comparisons):
        over_all = ", or over the other methods of all tasks"
    incomplete = any(comparison.incomplete for comparison in task.comparisons)
    apart = [comparison.other for comparison in task.comparisons if comparison.splits == 0]
    said = any(entry.incomplete for entry in task.entries)
    return [
        f"{GAIN}.{shifts}",
        "P(better): share of pairs of runs that the focus method wins, ties half. p: two-sided; Holm within one task"
        f"{over_all}. r: correlation of the two methods' scores over common seeds.",
        *(
            [f"The gain over {listed(apart)} is between different splits, so nothing is tested: no seed is common."]
            if apart
            else []
        ),
        *([INCOMPLETE] if incomplete and not said else []),
    ]
