"""What the page shows, as JSON values: the report, without what no part of the page reads.

The names are those of the report. A row is named by its place in ``rows`` wherever a list runs over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.content import (
    Board,
    Entry,
    LearnedWeights,
    Report,
    Run,
    SuiteTable,
    TaskCurves,
    TaskTable,
    WeightCurves,
)
from leaderboard.page.families import refusals
from leaderboard.tables.baselines import common_baseline, own_baselines
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.intervals import bootstrap_notes
from leaderboard.tables.words import decimals, metric_name

POINTS = 60  # of a curve: more than a small chart can show are left out
IDENTITIES = {"identities_focus", "identities_other"}  # the cells hold those of their runs
DIGITS = 4  # significant digits of what is only drawn


def view(report: Report, pictures: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the data of the page.

    Parameters
    ----------
    pictures: ``Picture.file`` -> where the page finds the picture; those not named are not shown.
    """
    return {
        "boards": [_board(board, pictures or {}) for board in report.boards],
        **report.model_dump(mode="json", include={"folders", "skipped", "damaged", "set_aside"}),
    }


def _board(board: Board, pictures: Mapping[str, str]) -> dict[str, Any]:
    kept = {
        "protocol",
        "focus",
        "seeds",
        "rows",
        "cells",
        "missing",
        "failed",
        "published",
        "published_costs",
        "mixed_settings",
        "software",
    }
    curves = {curve.task: curve for curve in board.curves}
    return {
        **board.model_dump(mode="json", include=kept),
        "origins": board.origins,
        "suites": [_suite(board, suite) for suite in board.suites],
        "tasks": [_task(board, task, curves.get(task.task)) for task in board.tasks],
        "pictures": [
            {**picture.model_dump(mode="json"), "file": pictures[picture.file]}
            for picture in board.pictures
            if picture.file in pictures
        ],
    }


def _suite(board: Board, suite: SuiteTable) -> dict[str, Any]:
    """A suite with one place for each row of the board; None where the suite has nothing on it."""
    rows = {row.row: row.model_dump(mode="json") for row in suite.rows}
    return {
        **suite.model_dump(mode="json", exclude={"rows": True, "comparisons": {"__all__": IDENTITIES}}),
        "rows": [rows.get(row.label) for row in board.rows],
        "baselines": own_baselines(board, [task for task in board.tasks if task.suite == suite.suite]),
        "bootstrap": bootstrap_notes([task for task in board.tasks if task.suite == suite.suite]),
        "coverage": unrecorded(suite),
        "scale": common_baseline(board, [task for task in board.tasks if task.suite == suite.suite]),
    }


def _task(board: Board, task: TaskTable, curves: TaskCurves | None) -> dict[str, Any]:
    labels = [row.label for row in board.rows]
    weights = {curve.row: _weights(curve) for curve in curves.weights} if curves else {}
    learning = {curve.row: curve.model_dump(mode="json") for curve in curves.learning} if curves else {}
    for curve in learning.values():
        _thin(curve, len(curve["done"]), ("done", "mean", "sd", "seeds"))
    return {
        **task.model_dump(
            include={"task", "metric", "higher_is_better", "split_checksum", "split_checksums", "no_ties", "not_judged"}
        ),
        "metric_name": metric_name(task.metric),
        "suite": task.suite,
        "name": task.name,
        "decimals": decimals(task),
        "paired": task.paired,
        "entries": [_entry(entry, labels) for entry in task.entries],
        "weights": [weights.get(label) for label in labels],
        "learning": [learning.get(label) for label in labels],
        "learned": [_learned(one) for one in task.learned],
        "comparisons": {
            str(labels.index(found.other)): found.model_dump(mode="json", exclude=IDENTITIES | {"focus", "other"})
            for found in task.comparisons
        },
        "p": _pairs(task, labels),
        "refusals": refusals(board, task),
    }


def _entry(entry: Entry, labels: Sequence[str]) -> dict[str, Any]:
    numbers = {"mean", "sd", "n"}
    return {
        "summary": entry.summary.model_dump(include=numbers) if entry.summary else None,
        "runs": _runs(entry),
        "baseline": None if entry.baseline is None else labels.index(entry.baseline),
        "readouts": {name: summary.model_dump(include=numbers) for name, summary in entry.readouts.items()},
        **entry.model_dump(
            mode="json", include={"cost", "planned", "skipped", "published", "budgets", "tied_with_best"}
        ),
    }


def _runs(entry: Entry) -> dict[str, list[Any]]:
    """The runs by field, which is a third of the size of a list of runs."""
    if entry.runs:
        return {name: [getattr(run, name) for run in entry.runs] for name in Run.model_fields}
    if entry.summary:
        found = entry.summary
        return {"seed": list(found.seeds), "score": list(found.scores), "identity": list(found.identities)}
    return {"seed": [], "score": [], "identity": []}


def _pairs(task: TaskTable, labels: Sequence[str]) -> list[list[float | None]]:
    """The raw p-values (m, m) of all rows; those against the report's focus alone if it holds no others."""
    found: list[list[float | None]] = [[None] * len(labels) for _ in labels]
    if task.pairwise:
        places = [labels.index(row) for row in task.pairwise.rows]
        for place, line in zip(places, task.pairwise.p, strict=True):
            for other, p in zip(places, line, strict=True):
                found[place][other] = p
    # Those of the comparisons are the same tests; they come second so that the focus is always as the report has it.
    for comparison in task.comparisons:
        if comparison.p is not None:
            first, second = labels.index(comparison.focus), labels.index(comparison.other)
            found[first][second] = found[second][first] = comparison.p
    return found


def _learned(learned: LearnedWeights) -> dict[str, Any]:
    return {
        **learned.model_dump(mode="json", include={"row", "control", "no_verdict", "note"}),
        "n": [len(learned.seeds), len(learned.null_seeds)],
        "objectives": [weight.model_dump(exclude={"weights", "null_weights"}) for weight in learned.objectives],
    }


def _weights(curve: WeightCurves) -> dict[str, Any]:
    found = curve.model_dump(mode="json", exclude={"row"})
    _thin(found, len(curve.steps), ("steps", "mean", "sd"))
    return found


def _thin(curve: dict[str, Any], points: int, names: Sequence[str]) -> None:
    """Keep at most ``POINTS`` evenly spread points, first and last among them, with the digits that are drawn."""
    last = min(points, POINTS) - 1
    kept = [round(k * (points - 1) / last) for k in range(last + 1)] if last > 0 else list(range(points))
    for name in names:
        if curve[name] is not None:
            curve[name] = [_short(curve[name][k]) for k in kept]


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
