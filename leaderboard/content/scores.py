"""What one row scored on one task, and what it cost."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Summary(BaseModel):
    """The test scores of one row on one task, in the order of their seeds."""

    mean: float
    sd: float | None  # with n - 1; None for a single seed
    n: int
    scores: list[float]
    seeds: list[int]
    identities: list[str]


class Run(BaseModel):
    """One record: what stands behind one score."""

    identity: str
    seed: int
    file: str  # the record, below the folder of the run
    folder: int  # index into the report's folders
    score: float  # on test, metric units
    validation: float | None  # at the chosen step
    chosen_step: int
    micro_batches: int = 1  # parts in which the encoder went through a batch, after memory ran out
    seconds: float  # wall seconds of the cell's own stages
    finished: str  # ISO time; empty where the record does not say
    origin: int  # index into the board's origins
    command: str | None  # that runs this cell again; None where the record does not say


class Cost(BaseModel):
    """What one cell of a row costs on one task: means over its seeds."""

    seconds: float  # wall seconds of the cell's own stages
    backbone: str = ""
    shared_seconds: dict[str, float]  # stage -> wall seconds of the shared artifact, paid once for all tasks
    shared_runs: dict[str, list[float]] = {}  # stage -> each of these seconds once, where seeds have their own artifact
    peak_memory_bytes: int  # the largest of the seeds
    examples_per_second: float
    ratio: float | None  # own seconds and the shared stages that fine-tuning has not, over fine-tuning's own seconds


class Entry(BaseModel):
    """One row on one task."""

    row: str
    summary: Summary | None  # None where no cell succeeded
    runs: list[Run] = []  # in the order of the summary's scores
    readouts: dict[str, Summary]  # the other read-outs of the same cells
    baseline: str | None = None  # the fine-tuning row that its cost and error removed are counted from
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
