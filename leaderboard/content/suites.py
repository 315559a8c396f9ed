"""What is said over several tasks together."""

from __future__ import annotations

from pydantic import BaseModel

from leaderboard.content.procedures import Estimate, Interval, Procedure


class SuiteRow(BaseModel):
    """One row over the T tasks of a suite, on the common scale: the share of fine-tuning's error removed."""

    row: str
    missing: list[str]  # tasks without a record: then there is no aggregate
    unshared: list[str] = []  # tasks where fine-tuning shares none of its paired seeds, or is perfect there: no share
    error_removed: list[Estimate | None]  # (T,) bootstrap over seeds, fine-tuning's too
    iqm: Estimate | None  # interquartile mean of the seeds x tasks; bootstrap over seeds within tasks
    iqm_over_tasks: Interval | None  # bootstrap over seeds and tasks
    mean_score: float | None  # of the task means (see shared_seeds), where all tasks have one metric, metric units
    cost_ratio: float | None  # seconds on all tasks, shared artifacts once, over fine-tuning's; None where a task lacks
    average_rank: float | None  # 1 is best, ties share; among the rows without a missing task


class SuiteComparison(BaseModel):
    """The focus method against one other row over the tasks of a suite that allow it; positive: focus better."""

    focus: str
    other: str
    tasks: list[str]  # on which both have records, and a common seed where scores are paired
    difference: float  # mean over tasks of the difference in error removed
    interval: Interval | None  # 95 %: the shifts that the sign flip does not reject; None where it rejects none
    sign_flip: Procedure  # "on tasks like these"
    p: float | None  # of the sign flip, two-sided
    p_holm: float | None  # over the other rows
    stratified: Procedure  # "on exactly these tasks"
    p_stratified: float | None
    p_stratified_holm: float | None
    improvement: Estimate  # mean over tasks of P(a run of the focus beats a run of the other), ties half
    family: str
    family_size: int
    identities_focus: list[str]
    identities_other: list[str]


class Ranking(BaseModel):
    """Average ranks of the rows that have every task, and the groups that no test separates."""

    rows: list[str]  # best first
    average_ranks: list[float]
    groups: list[list[str]]  # each a run of neighbours in ``rows``, at least two
    p_holm: list[list[float | None]]  # (m, m) sign flips of all pairs in the order of ``rows``, None on the diagonal
    family_size: int
    no_groups: str | None  # why no two rows can be separated


class SuiteTable(BaseModel):
    """What can be said over the tasks of one suite together."""

    suite: str
    tasks: list[str]  # the T tasks of the board that belong to it
    unrecorded: list[str] = []  # planned tasks of the suite on which no row has a record
    rows: list[SuiteRow]  # in the order of the board's rows
    comparisons: list[SuiteComparison]
    ranking: Ranking | None
    # By task whose seed draws the split, where the ranked rows have different seeds: those that all of them have, over
    # which ranks and average go. Where there is none, there is no ranking.
    shared_seeds: dict[str, list[int]] = {}
    no_marks: str | None  # why the comparisons carry no marks
    no_aggregate: str | None  # why there is no common scale, so no aggregate at all
    generator_seed: int  # of the bootstraps
