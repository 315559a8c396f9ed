"""Numbers of papers, one YAML file each: shown beside ours, outside every test."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from leaderboard.content import PublishedCost, PublishedRow, PublishedScore, PublishedTable
from leaderboard.published.flags import flags, recomputed_average
from leaderboard.published.paper import Line, Paper, Table, read

FOLDER = Path(__file__).parent


@cache
def papers() -> tuple[Paper, ...]:
    """Return every paper, in the order of the file names.

    Raises
    ------
    RequestError: naming file and key, if a file is not valid.
    """
    return tuple(read(path) for path in sorted(FOLDER.glob("*.yaml")))


def published_for(tasks: Sequence[str]) -> list[PublishedTable]:
    """Return the tables that share a task with ``tasks`` ("suite:name"), with the scores on those tasks alone.

    Averages and flags are those of the whole table as printed.

    Raises
    ------
    RequestError: naming file and key, if a file is not valid.
    """
    wanted = frozenset(tasks)
    return [_table(paper, table, wanted) for paper in papers() for table in paper.tables if _shares(table, wanted)]


def published_costs_for(tasks: Sequence[str]) -> list[PublishedCost]:
    """Return the costs that papers print, of those that have a table in common with ``tasks``; raises likewise."""
    wanted = frozenset(tasks)
    return [
        PublishedCost(
            paper=paper.paper,
            source=f"{paper.source}, {table.where}",
            method=row.method,
            name=row.name,
            low=row.low,
            high=row.high,
            note=table.note,
        )
        for paper in papers()
        if any(_shares(table, wanted) for table in paper.tables)
        for table in paper.costs
        for row in table.rows
    ]


def _shares(table: Table, tasks: Collection[str]) -> bool:
    return any(column.task in tasks for column in table.columns)


def _table(paper: Paper, table: Table, tasks: Collection[str]) -> PublishedTable:
    shown = [index for index, column in enumerate(table.columns) if column.task in tasks]
    return PublishedTable(
        paper=paper.paper,
        source=f"{paper.source}, {table.where}",
        suite=table.suite,
        units=table.units,
        n=table.n,
        spread=table.spread,
        differences=_differences(paper, table, shown),
        rows=[_row(table, row, shown) for row in table.rows],
        flags=flags(table),
    )


def _row(table: Table, row: Line, shown: Sequence[int]) -> PublishedRow:
    return PublishedRow(
        method=row.method,
        name=row.name,
        scores=[
            PublishedScore(
                task=table.columns[index].task,
                metric=table.columns[index].metric,
                value=row.scores[index],
                sd=row.sd[index] if row.sd else None,
            )
            for index in shown
        ],
        average=row.average,
        recomputed_average=recomputed_average(row),
    )


def _differences(paper: Paper, table: Table, shown: Sequence[int]) -> list[str]:
    """Of the paper, its suite, the table, the columns shown and the rows; rows that share one stand together."""
    columns = [table.columns[index] for index in shown]
    rows: dict[str, list[str]] = {}
    for row in table.rows:
        if row.difference:
            rows.setdefault(row.difference, []).append(row.name)
    return [
        *paper.differences.get("any", []),
        *paper.differences.get(table.suite, []),
        *table.differences,
        *(f"{column.name}: {column.difference}" for column in columns if column.difference),
        *(f"{', '.join(names)}: {text}" for text, names in rows.items()),
    ]
