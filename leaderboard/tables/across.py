"""Over the tasks of a suite: the focus method against each other, and the ranking."""

from __future__ import annotations

from string import ascii_lowercase

from leaderboard.content import Board, SuiteComparison, SuiteTable, task_name
from leaderboard.statistics.floors import ALPHA
from leaderboard.tables.baselines import common_baseline
from leaderboard.tables.cells import estimate, interval, number, p_value, words
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.intervals import bootstrap_notes
from leaderboard.tables.suite import SCALE, shared_seeds
from leaderboard.tables.table import Column, Mark, Table, TableRow
from leaderboard.tables.words import drawn, listed, slug


def comparisons_table(board: Board, suite: SuiteTable) -> Table | None:
    """The suite's tests; None without comparisons."""
    if not suite.comparisons:
        return None
    tests = ("p (sign flip)", "p (sign flip, Holm)", "p (stratified)", "p (stratified, Holm)")
    refused = suite.no_marks is not None
    rows = [
        TableRow(
            cells=[
                words(found.other).model_copy(update={"mark": None if refused else _mark(found)}),
                number(len(found.tasks), "d"),
                number(found.difference, "+z.3f"),
                interval(found.interval, "+z.3f"),
                *(p_value(None if refused else p) for p in (found.p, found.p_holm)),
                *(p_value(p) for p in (found.p_stratified, found.p_stratified_holm)),
                estimate(found.improvement, ".2f"),
            ]
        )
        for found in suite.comparisons
    ]
    return Table(
        name=slug(board.protocol, suite.suite, "comparisons"),
        title=f"{board.focus} against each other method over {suite.suite} (protocol {board.protocol})",
        columns=[
            Column(key="other method", title="other method", align="left"),
            Column(key="tasks", title="tasks"),
            *(Column(key=name, title=name) for name in ("difference", "95 % interval", *tests)),
            Column(key="P(improvement)", title="P(improvement)"),
        ],
        rows=rows,
        notes=_notes(board, suite, {row.cells[0].mark for row in rows}),
    ).without_empty()


def ranking_table(board: Board, suite: SuiteTable) -> Table | None:
    """Average ranks, best first, with the groups that no test separates."""
    ranking = suite.ranking
    if ranking is None:
        return None
    letters = {row: [_letter(k) for k, group in enumerate(ranking.groups) if row in group] for row in ranking.rows}
    columns = [Column(key="method", title="method", align="left"), Column(key="average rank", title="average rank")]
    notes = [f"Average rank over {len(suite.tasks)} tasks: 1 is best, ties share; rows that have every task."]
    notes += [*unrecorded(suite), *shared_seeds(suite)]
    if ranking.no_groups:
        notes.append(f"No groups: {ranking.no_groups}.")
    else:
        columns.append(Column(key="group", title="group", align="left"))
        notes.append(
            "Rows that share a letter are not separated: exact sign flips of the differences in error removed over "
            f"the tasks, p > {ALPHA} after Holm over {ranking.family_size} pairs."
        )
    return Table(
        name=slug(board.protocol, suite.suite, "ranking"),
        title=f"Ranking over {suite.suite} (protocol {board.protocol})",
        columns=columns,
        rows=[
            TableRow(cells=[words(row), number(rank, ".2f"), words(", ".join(letters[row]) or None)][: len(columns)])
            for row, rank in zip(ranking.rows, ranking.average_ranks, strict=True)
        ],
        notes=notes,
    )


def _mark(found: SuiteComparison) -> Mark | None:
    if found.p_holm is None or found.p_holm > ALPHA:
        return None
    return "worse" if found.difference > 0 else "better"


def _notes(board: Board, suite: SuiteTable, marks: set[Mark | None]) -> list[str]:
    first = suite.comparisons[0]
    shifts = ""
    if any(one.interval for one in suite.comparisons):
        shifts = " 95 % interval: the differences that the sign flip does not reject, uncorrected."
    lines = [
        "Difference: mean over tasks of the difference in error removed, positive where "
        f"{board.focus} is better.{shifts}"
    ]
    lines += [f"{SCALE}.", *unrecorded(suite)]
    lines += common_baseline(board, [task for task in board.tasks if task.suite == suite.suite])
    if suite.no_marks:
        lines.append(f"No p-values of the sign flip and no marks: {suite.no_marks}.")
    else:
        signs = {"better": "▲: better", "worse": "▼: worse"}
        used = [f"{sign} than {board.focus}" for mark, sign in signs.items() if mark in marks]
        by = f"the sign flip, p {'<=' if used else '>'} {ALPHA} after Holm over {first.family_size} methods"
        lines += [
            f"Sign flip (on tasks like these): two-sided, of the differences of the tasks; {_kinds(suite, False)}.",
            f"{'; '.join(used)} ({by})." if used else f"No method is marked: {by} for each.",
        ]
    if any(one.p_stratified is not None for one in suite.comparisons):
        lines.append(
            "Stratified (on exactly these tasks): two-sided, runs exchanged within tasks; "
            f"{_kinds(suite, True)}; Holm over {first.family_size} methods."
        )
    lines += _left_out(board, suite)
    lines.append(
        "P(improvement): mean over tasks of the probability that a run of the focus method beats a run of the other "
        "(where the seed draws the split too: of the same seed), ties half; in brackets its 95 % bootstrap interval "
        f"over seeds (generator seed {suite.generator_seed})."
    )
    return lines + bootstrap_notes([task for task in board.tasks if task.suite == suite.suite])


def _left_out(board: Board, suite: SuiteTable) -> list[str]:
    """For each other method the tasks that its comparison is without, by reason."""
    compared = {one.other: one.tasks for one in suite.comparisons}
    labels = [row.label for row in board.rows]
    tables = {task.task: task for task in board.tasks}
    lines = []
    for row in suite.rows:
        place = labels.index(row.row)
        if row.row == board.focus or board.rows[place].control_of:
            continue
        reasons: dict[str, list[str]] = {}
        for task in suite.tasks:
            if task in compared.get(row.row, []):
                continue
            scored = [tables[task].entries[k].summary for k in (place, labels.index(board.focus or row.row))]
            reason = (
                f"where it shares no seed with {board.focus} and the seed draws the split"
                if tables[task].paired and all(scored)
                else f"where it or {board.focus} has no record"
            )
            reasons.setdefault(reason, []).append(task_name(task))
        if reasons:
            left_out = "; ".join(f"{listed(tasks)}, {reason}" for reason, tasks in reasons.items())
            lines.append(f"{row.row}: without {left_out}.")
    return lines


def _kinds(suite: SuiteTable, stratified: bool) -> str:
    found = {drawn(one.stratified if stratified else one.sign_flip): None for one in suite.comparisons}
    return " or ".join(found)


def _letter(index: int) -> str:
    return ascii_lowercase[index % 26] * (index // 26 + 1)
