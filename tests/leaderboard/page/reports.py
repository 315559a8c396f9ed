"""Reports made up for the page's tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.records import Failure, Record
from leaderboard.content import PublishedRow, PublishedScore, PublishedTable, Report
from leaderboard.report import build
from tests.leaderboard.fabricate import save


def report_of(folder: Path, results: Iterable[Record | Failure], focus: str | None = None) -> Report:
    """The report of ``results`` and what ``folder`` held before."""
    save(folder, results)
    return build([folder], focus)


def published(task: str) -> PublishedTable:
    """One row of a paper on one task, in percent."""
    scores = [PublishedScore(task=task, metric="ROC-AUC", value=77.25, sd=1.5)]
    return PublishedTable(
        paper="A paper",
        source="arXiv 0000.00000, Table 9",
        suite=task.partition(":")[0],
        units="percent",
        n=3,
        spread="standard deviation",
        differences=["another split"],
        rows=[
            PublishedRow(
                method="tapweight", name="TapWeight (paper)", scores=scores, average=78.0, recomputed_average=77.25
            )
        ],
        flags=["the average of the row is 77.25, not 78.0"],
    )
