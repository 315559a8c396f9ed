"""What a score costs, relative to fine-tuning and in seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from leaderboard.artifacts import artifacts
from leaderboard.content import BASELINE, Board, Cost, SuiteRow, TaskTable
from leaderboard.tables.baselines import own_baselines
from leaderboard.tables.cells import words
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.reference import cost_references
from leaderboard.tables.table import NOTHING, Column, Table, TableCell, TableRow
from leaderboard.tables.words import seconds, slug

Costs = dict[str, list[Cost | None]]  # row label -> by task


def cost_tables(board: Board, tasks: Sequence[TaskTable]) -> list[Table]:
    """Relative cost, then seconds and memory, of the rows on ``tasks``, which are those of one suite."""
    by_row, baselines = _costs(board, tasks)
    found = [_absolute(board, tasks, by_row)]
    if any(cost for costs in baselines.values() for cost in costs):
        found.insert(0, _relative(board, tasks, by_row, baselines))
    return found


def _costs(board: Board, tasks: Sequence[TaskTable]) -> tuple[Costs, Costs]:
    """The costs of each row, by task, and those of its baseline."""
    by_row = {row.label: [task.entries[index].cost for task in tasks] for index, row in enumerate(board.rows)}
    nothing: list[Cost | None] = [None] * len(tasks)
    baselines = {
        row.label: [by_row.get(task.entries[index].baseline or "", nothing)[k] for k, task in enumerate(tasks)]
        for index, row in enumerate(board.rows)
    }
    return by_row, baselines


def _relative(
    board: Board,
    tasks: Sequence[TaskTable],
    by_row: Costs,
    baselines: Costs,
) -> Table:
    rows = []
    whole = {row.row: row for suite in board.suites if suite.suite == tasks[0].suite for row in suite.rows}
    for label, costs in by_row.items():
        shares = _shares(costs, baselines[label])
        divided = [_divided(*three) for three in zip(costs, baselines[label], shares, strict=True)]
        cells = [_ratios(cost, share) for cost, share in zip(costs, divided, strict=True)]
        rows.append(TableRow(cells=[words(label), *cells, over_all(whole.get(label))]))
    published, sources = cost_references(board, tasks)
    differ = any(" / " in cell.text for row in rows for cell in row.cells[1:])
    return Table(
        name=slug(board.protocol, tasks[0].suite, "cost"),
        title=f"Cost on {tasks[0].suite} relative to fine-tuning = 1 (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            *(Column(key=task.name, title=task.name) for task in tasks),
            Column(key="suite", title="suite"),
        ],
        rows=[*rows, *published],
        notes=[
            f"Wall seconds over those of {BASELINE}'s own stages, means over seeds, as if this were the only task"
            + (" / with shared stages divided over the tasks of the suite that use them." if differ else ".")
            + f" Stages that {BASELINE} shares too are not charged.",
            "Suite: all tasks together, each shared artifact once; nothing where a task lacks.",
            *(line for suite in board.suites if suite.suite == tasks[0].suite for line in unrecorded(suite)),
            *own_baselines(board, tasks),
            *sources,
        ],
    )


def _absolute(board: Board, tasks: Sequence[TaskTable], by_row: Costs) -> Table:
    return Table(
        name=slug(board.protocol, tasks[0].suite, "seconds"),
        title=f"Seconds and memory on {tasks[0].suite} (protocol {board.protocol})",
        columns=[
            Column(key="method", title="method", align="left"),
            *(Column(key=task.name, title=task.name) for task in tasks),
            Column(key="shared", title="shared", align="left"),
        ],
        rows=[TableRow(cells=[words(label), *map(_seconds, costs), _shared(costs)]) for label, costs in by_row.items()],
        notes=[
            "Per cell: wall seconds of its own stages, mean over seeds; largest peak memory. Shared: wall seconds of "
            "stages that are run once for all tasks; with a +, of different artifacts."
        ],
    )


def _shares(costs: Sequence[Cost | None], bases: Sequence[Cost | None]) -> list[float]:
    """The seconds of shared stages that each task has to bear, of those that fine-tuning has not."""
    shares = [0.0] * len(costs)
    for one in artifacts(costs, bases):
        for place in one.places:
            shares[place] += one.mean / len(one.places)
    return shares


def _divided(cost: Cost | None, base: Cost | None, shared: float) -> float | None:
    if cost is None or base is None or base.seconds <= 0:
        return None
    return (cost.seconds + shared) / base.seconds


def over_all(row: SuiteRow | None) -> TableCell:
    """What a row costs over all tasks of its suite, relative to fine-tuning."""
    if row is None or row.cost_ratio is None:
        return words(None)
    return TableCell(text=f"{row.cost_ratio:.2f}", numbers={"": row.cost_ratio})


def _ratios(cost: Cost | None, divided: float | None) -> TableCell:
    if cost is None or cost.ratio is None or divided is None:
        return words(None)
    numbers = {"alone": cost.ratio, "divided": divided}
    both = [f"{cost.ratio:.2f}", f"{divided:.2f}"]
    return TableCell(text=" / ".join(dict.fromkeys(both)), numbers=numbers)


def _seconds(cost: Cost | None) -> TableCell:
    if cost is None:
        return words(None)
    memory = cost.peak_memory_bytes / 2**20
    return TableCell(
        text=f"{seconds(cost.seconds)}, {memory:,.0f} MiB", numbers={"seconds": cost.seconds, "peak MiB": memory}
    )


def _shared(costs: Sequence[Cost | None]) -> TableCell:
    stages: dict[str, list[float]] = defaultdict(list)
    for one in artifacts(costs):
        stages[one.stage].append(one.mean)
    text = ", ".join(f"{stage} {' + '.join(map(seconds, values))}" for stage, values in stages.items())
    return TableCell(text=text or NOTHING, numbers={stage: sum(values) for stage, values in stages.items()})
