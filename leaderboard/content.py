"""What a report holds: one object, written as report.json, from which every table and picture is drawn.

Numbers are full floats in the units of the metric. ``None`` stands where a number does not exist.
"""

from __future__ import annotations

from statistics import fmean
from typing import Literal

from pydantic import BaseModel, computed_field


class Summary(BaseModel):
    """The test scores of one row on one task, in the order of their seeds."""

    mean: float
    sd: float | None  # with n - 1; None for a single seed
    n: int
    scores: list[float]
    seeds: list[int]
    identities: list[str]


class Cost(BaseModel):
    """What one cell of a row costs on one task: means over its seeds."""

    seconds: float  # wall seconds of the cell's own stages
    shared_seconds: dict[str, float]  # stage -> wall seconds of the shared artifact, paid once for all tasks
    peak_memory_bytes: int  # the largest of the seeds
    examples_per_second: float
    ratio: float | None  # own seconds and the shared stages that fine-tuning has not, over fine-tuning's own seconds


class Entry(BaseModel):
    """One row on one task."""

    row: str
    summary: Summary | None  # None where no cell succeeded
    readouts: dict[str, Summary]  # the other read-outs of the same cells
    cost: Cost | None
    planned: int  # cells asked for
    skipped: str | None  # why this pair is not run at all
    published: bool = True  # whether a paper evaluates the method on what the backbone reads
    budgets: list[dict[str, int]] = []  # of methods that search: what their cells spent on trials, without repeats
    tied_with_best: bool = False  # descriptive
    mark: Literal["better", "worse"] | None = None  # than the focus method, after correction

    @property
    def incomplete(self) -> bool:
        """Fewer seeds than planned."""
        return (self.summary.n if self.summary else 0) < self.planned


class Procedure(BaseModel):
    """How a permutation test was done."""

    statistic: str
    pairing: Literal["unpaired", "paired"]
    exact: bool
    splits: int  # enumerated, or drawn
    generator_seed: int | None


class Comparison(Procedure):
    """The focus method against one other row on one task; effects are positive where the focus is better."""

    focus: str
    other: str
    n_focus: int
    n_other: int
    incomplete: bool  # either side has fewer seeds than planned
    effect: float  # difference of means in metric units
    effect_sd: float | None  # in pooled standard deviations
    probability_better: float  # that a run of the focus beats a run of the other; ties count half
    seed_correlation: float | None  # of the scores at common seeds, from three of them on
    p: float | None  # two-sided; None where the protocol supports no significance
    p_focus_better: float | None  # one-sided
    family: str
    family_size: int
    p_holm: float | None
    identities_focus: list[str]
    identities_other: list[str]


class FinalWeight(BaseModel):
    """One objective's weight when training ended, with and without a signal in the validation labels."""

    objective: str
    weights: list[float]  # of the method's runs
    null_weights: list[float]  # of its control's runs
    p: float | None = None  # two-sided; None without a control, or where the protocol supports no significance
    p_holm: float | None = None  # over the objectives of this method on this task
    differs: bool = False

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mean(self) -> float:
        """Mean over the method's runs."""
        return fmean(self.weights)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def null_mean(self) -> float | None:
        """Mean over the control's runs."""
        return fmean(self.null_weights) if self.null_weights else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def difference(self) -> float | None:
        """Of the two means."""
        return None if self.null_mean is None else self.mean - self.null_mean


class LearnedWeights(BaseModel):
    """The final weights of one method on one task, and whether they differ from those of its null control."""

    row: str
    control: str | None  # None where none was run
    objectives: list[FinalWeight]
    seeds: list[int]  # in the order of the weights
    null_seeds: list[int]
    procedure: Procedure | None  # None where nothing was tested
    family: str
    no_verdict: str | None  # why nothing is said about a difference
    note: str | None  # which runs were left out, and why
    identities: list[str]
    null_identities: list[str]

    @property
    def clearest(self) -> FinalWeight:
        """The objective with the smallest p."""
        return min(self.objectives, key=lambda weight: 1.0 if weight.p is None else weight.p)


class TaskTable(BaseModel):
    """Everything about one task under one protocol."""

    task: str  # "suite:name"
    metric: str
    higher_is_better: bool
    split_checksum: str
    entries: list[Entry]  # in the order of the rows
    comparisons: list[Comparison]
    no_marks: str | None  # why the comparisons carry no marks
    no_ties: str | None  # why no group is bold
    smallest_effect: float | None  # found with probability 0.8 by the family's first step, metric units
    learned: list[LearnedWeights]  # of the methods that have weight trajectories here

    @property
    def suite(self) -> str:
        """The suite that the task belongs to."""
        return self.task.partition(":")[0]

    @property
    def name(self) -> str:
        """The task without its suite."""
        return self.task.partition(":")[2] or self.task


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


class WeightCurves(BaseModel):
    """How one row weighted the objectives: mean and sd over seeds at u steps for n objectives."""

    row: str
    control_of: str | None
    objectives: list[str]
    unit: Literal["pretraining step", "trial"]  # of the steps
    steps: list[int]  # (u,)
    mean: list[list[float]]  # (u, n)
    sd: list[list[float]] | None  # (u, n); None for a single seed
    seeds: int
    note: str | None  # what was left out, and why


class WeightPicture(BaseModel):
    """The curves of one task, drawn into one file."""

    task: str
    file: str
    curves: list[WeightCurves]


class Board(BaseModel):
    """One protocol. Records of different protocols never meet in a table."""

    protocol: str
    focus: str | None
    rows: list[Row]  # controls last
    seeds: list[int]
    tasks: list[TaskTable]
    cells: int
    missing: list[Lacking]
    failed: list[Lacking]
    pictures: list[WeightPicture]
    software: dict[str, list[str]]  # package, "commit" or "device" -> the values that occur


class Skipped(BaseModel):
    """A pair that was asked for and does not fit."""

    method: str
    task: str
    reason: str


class Report(BaseModel):
    """The whole folder."""

    boards: list[Board]
    skipped: list[Skipped]
    damaged: list[str]  # files that are no whole record, below the folder
    set_aside: list[str]  # records and failures that the plan has replaced
