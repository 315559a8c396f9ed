"""The tables of one protocol, and the report that holds them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from leaderboard.content.comparisons import Comparison, Pairwise
from leaderboard.content.curves import TaskCurves
from leaderboard.content.learned import LearnedWeights
from leaderboard.content.published import PublishedCost, PublishedTable
from leaderboard.content.scores import Entry
from leaderboard.content.suites import SuiteTable

BASELINE = "finetune"  # the method whose cost is 1 and whose error is there to be removed


def task_name(task: str) -> str:
    """A task without its suite; one of a suite of parts, such as ``glue-subset``, says that it is a part."""
    suite, _, name = task.partition(":")
    return f"{name} (subset)" if suite.endswith("-subset") else name or task


class TaskTable(BaseModel):
    """Everything about one task under one protocol."""

    task: str  # "suite:name"
    metric: str
    higher_is_better: bool
    split_checksum: str  # where the seed draws the split, that of the first seed
    split_checksums: dict[int, str] = {}  # by seed, where the seed draws the split
    baseline: str | None = None  # the fine-tuning row whose error is the scale of differences between rows
    entries: list[Entry]  # in the order of the rows
    comparisons: list[Comparison]
    pairwise: Pairwise | None  # None where fewer than two rows have a record
    no_marks: str | None  # why the comparisons carry no marks
    no_ties: str | None  # why no group is bold
    not_judged: list[str] = []  # rows that may be as good as the best, but have too few seeds for a test to say
    smallest_effect: float | None  # found with probability 0.8 by the family's first step, metric units
    learned: list[LearnedWeights]  # of the methods that have weight trajectories here

    @property
    def suite(self) -> str:
        """The suite that the task belongs to."""
        return self.task.partition(":")[0]

    @property
    def name(self) -> str:
        """The task without its suite."""
        return task_name(self.task)

    @property
    def paired(self) -> bool:
        """Whether the seed draws the split, so that scores are compared in pairs of common seeds."""
        return bool(self.split_checksums)

    @property
    def split(self) -> str:
        """The start of the split's checksum; where the seed draws it, of how many seeds report.json holds one."""
        drawn = len(self.split_checksums)
        return f"drawn by the seed ({drawn} in report.json)" if drawn else self.split_checksum[:16]


class Row(BaseModel):
    """A method; with its backbone where a method ran with several on one task."""

    label: str
    method: str
    backbones: list[str]
    control_of: str | None


class Lacking(BaseModel):
    """Cells without a record, of one row on one task for one reason."""

    row: str
    task: str
    seeds: list[int]
    reason: str | None  # of the failure; None where the cell was not run or is still running


class Picture(BaseModel):
    """A picture that the report has: drawn as FILE.png and FILE.svg."""

    kind: Literal["weights", "learning", "pareto", "seeds", "error-removed", "ranks"]
    subject: str  # the task, or the suite
    file: str  # below the report's folder, without an ending
    title: str
    description: str  # what a reader who cannot see it needs to know


class Board(BaseModel):
    """One protocol. Records of different protocols never meet in a table."""

    protocol: str
    focus: str | None
    rows: list[Row]  # controls last
    seeds: list[int]
    tasks: list[TaskTable]
    suites: list[SuiteTable]
    published: list[PublishedTable]
    published_costs: list[PublishedCost]
    curves: list[TaskCurves]
    cells: int
    missing: list[Lacking]
    failed: list[Lacking]
    mixed_settings: list[str] = []  # which cells have seeds that were made with different settings
    pictures: list[Picture]
    software: dict[str, list[str]]  # package, "commit" or "device" -> the values that occur
    origins: list[dict[str, str]]  # package, "commit" or "device" -> value: each combination that occurs, once


class Skipped(BaseModel):
    """A pair that was asked for and does not fit."""

    method: str
    task: str
    reason: str


class Report(BaseModel):
    """One folder, or several that were merged."""

    folders: list[str]
    boards: list[Board]
    skipped: list[Skipped]
    damaged: list[str]  # files that are no whole record, below the folder
    set_aside: list[str]  # records and failures that the plan has replaced
    files: list[str] = []  # below the report's folder; the next report deletes those that it no longer has
