"""The one outline of the report: which tables it has, in which order, and what is said between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leaderboard.content import Board, Report, SuiteTable, TaskTable
from leaderboard.tables import coverage
from leaderboard.tables.across import comparisons_table, ranking_table
from leaderboard.tables.captions import grouped
from leaderboard.tables.cost import cost_tables
from leaderboard.tables.learned import learned_table
from leaderboard.tables.readouts import readouts_table
from leaderboard.tables.reference import published_tables
from leaderboard.tables.suite import error_removed_table, suite_table
from leaderboard.tables.table import Section, Table
from leaderboard.tables.task import pairwise_table, task_table

READABLE = 300  # cells: tables of one section that together have more are not printed but named


def sections(report: Report) -> list[Section]:
    """Return the parts of the report in their order; the names of their tables are unique."""
    found = [Section(title="Leaderboard", level=1)]
    if len(report.folders) > 1:
        found[0].lines.append("Merged from these folders:")
        found[0].items = list(report.folders)
    if not report.boards:
        found[0].lines.append("No records yet.")
    for board in report.boards:
        found += _board(board)
    if skipped := coverage.skipped_table(report.skipped):
        found.append(Section(title="Skipped", level=2, tables=[skipped]))
    if report.damaged:
        text = "No whole records; their cells are not counted as done."
        found.append(Section(title="Damaged files", level=2, lines=[text], items=report.damaged))
    if report.set_aside:
        text = "Left out: the plan, or a record, has another identity for their cells (other settings or code)."
        found.append(Section(title="Set aside", level=2, lines=[text], items=report.set_aside))
    _name_apart([table for section in found for table in section.tables])
    return found


def _board(board: Board) -> list[Section]:
    found = [Section(title=f"Protocol {board.protocol}", level=2, lines=[coverage.counts(board)])]
    if board.mixed_settings:
        found[0].lines.append("Warning: seeds that were made with different settings are averaged under this name:")
        found[0].items = board.mixed_settings
    for name in dict.fromkeys(task.suite for task in board.tasks):
        tasks = [task for task in board.tasks if task.suite == name]
        found += _suite(board, tasks, next((suite for suite in board.suites if suite.suite == name), None))
    papers = published_tables(board)
    found += _section("Published numbers", 3, papers, ["Numbers of papers, outside every test."] if papers else [])
    suites = {task.suite for task in board.tasks}
    rest = [picture for picture in board.pictures if picture.subject not in suites]
    if rest:
        found.append(Section(title="Pictures of the tasks", level=3, pictures=rest))
    table = coverage.coverage_table(board)
    if board.rows:
        lacking = bool(board.missing or board.failed)
        found.append(
            Section(title="Coverage", level=3, tables=[table], aside=not lacking or _cells([table]) > READABLE)
        )
    found += _section("Missing cells", 3, [coverage.missing_table(board)])
    found += _section("Failed cells", 3, [coverage.failed_table(board)])
    return found


def _suite(board: Board, tasks: Sequence[TaskTable], suite: SuiteTable | None) -> list[Section]:
    name = tasks[0].suite
    pictures = [picture for picture in board.pictures if picture.subject == name]
    found = [Section(title=name, level=3, tables=[suite_table(board, tasks, suite)], pictures=pictures)]
    against = f"{board.focus} against each other method"
    if suite:
        found += _section(f"{against}, over all tasks", 4, [comparisons_table(board, suite)])
        found += _section("Ranking", 4, [ranking_table(board, suite)])
        found += _section("Error removed", 4, [error_removed_table(board, suite)])
    found += _section(
        f"{against}, task by task" if board.focus else "Task by task", 4, [task_table(board, task) for task in tasks]
    )
    refused = grouped(tasks, lambda task: task.pairwise.no_marks if task.pairwise else None)
    found += _section(
        "p-values of every pair",
        4,
        [pairwise_table(board, task) for task in tasks],
        [f"None{where}: {reason}." for where, reason in refused],
    )
    found += _section("Other read-outs", 4, [readouts_table(board, tasks)])
    found += _section("Learned weights against their null", 4, [learned_table(board, tasks)])
    found += _section("Cost", 4, cost_tables(board, tasks))
    return found


def _section(title: str, level: int, tables: Sequence[Table | None], lines: Sequence[str] = ()) -> list[Section]:
    kept = [table for table in tables if table]
    if not kept and not lines:
        return []
    return [Section(title=title, level=level, lines=list(lines), tables=kept, aside=_cells(kept) > READABLE)]


def _cells(tables: Sequence[Table]) -> int:
    return sum(len(table.rows) * len(table.columns) for table in tables)


def _name_apart(tables: Sequence[Table]) -> None:
    """Number the tables whose names would be the same."""
    taken = Counter[str]()
    for table in tables:
        name = table.name
        while taken[table.name]:
            taken[name] += 1
            table.name = f"{name}-{taken[name]}"
        taken[table.name] += 1
