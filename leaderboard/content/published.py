"""Numbers of papers: shown beside ours, outside every test."""

from __future__ import annotations

from pydantic import BaseModel


class PublishedScore(BaseModel):
    """One number of a paper, as printed there."""

    task: str  # "suite:name"
    metric: str  # as the paper names it
    value: float  # in ``units``
    sd: float | None


class PublishedRow(BaseModel):
    """A row of a paper's table. It takes part in no test."""

    method: str  # the registry's name where there is one
    name: str  # as the paper writes it
    scores: list[PublishedScore]
    average: float | None  # as printed
    recomputed_average: float | None  # of the scores as printed, where an average is printed


class PublishedTable(BaseModel):
    """A paper's table that shares a task with the board."""

    paper: str
    source: str  # identifier and table
    suite: str
    units: str  # of the scores: "percent" or the metric's
    n: int | None  # runs; None where the paper does not say
    spread: str  # what stands behind the plus-minus sign, or that nothing does
    differences: list[str]  # from our protocols
    rows: list[PublishedRow]
    flags: list[str]  # claims that the table itself contradicts


class PublishedCost(BaseModel):
    """What a paper says that a method costs, as a range, relative to fine-tuning = 1."""

    paper: str
    source: str  # identifier and table
    method: str  # the registry's name where there is one
    name: str  # as the paper writes it
    low: float
    high: float
    note: str  # what the range is of, as far as it is known
