"""The focus method against every other over the tasks of a suite: on tasks like these, and on exactly these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaderboard.content import Interval, SuiteComparison
from leaderboard.statistics.bootstrap import probability_of_improvement
from leaderboard.statistics.floors import paired_refusal
from leaderboard.statistics.holm import holm
from leaderboard.statistics.signs import sign_flip, sign_flip_interval
from leaderboard.statistics.stratified import stratified_permutation
from leaderboard.suite_scores import SuiteScores, allows_interval, estimate
from leaderboard.task_tests import NO_SIGNIFICANCE, generator, procedure_of


def against_focus(
    focus: str | None, rows: Sequence[str], scores: SuiteScores, marks: bool, family: str
) -> list[SuiteComparison]:
    """Compare ``focus`` with each of the other ``rows`` on the tasks that both have; Holm over the other rows."""
    if focus is None or scores.no_scale:
        return []
    others = [row for row in rows if row != focus and scores.common(focus, row)]
    found = [compare_over_tasks(focus, other, scores, family, len(others)) for other in others]
    if not marks:
        return [without_significance(comparison) for comparison in found]
    flips = holm([comparison.p or 0.0 for comparison in found])
    shuffles = holm([comparison.p_stratified or 0.0 for comparison in found])
    for comparison, p, p_stratified in zip(found, flips, shuffles, strict=True):
        comparison.p_holm, comparison.p_stratified_holm = p, p_stratified
    return found


def compare_over_tasks(focus: str, other: str, scores: SuiteScores, family: str, size: int) -> SuiteComparison:
    """Compare two rows over their common tasks, of which there is at least one."""
    tasks = scores.common(focus, other)
    differences, pairs = scores.differences(focus, other, tasks), scores.pairs(focus, other, tasks)
    signs = [1.0 if task.higher_is_better else -1.0 for task in tasks]
    a, b = ([sign * np.array(pair[k].scores) for sign, pair in zip(signs, pairs, strict=True)] for k in (0, 1))
    flip = sign_flip(differences, generator=generator())
    ends = sign_flip_interval(differences, generator=generator())
    paired = [scores.together(task, pair) for task, pair in zip(tasks, pairs, strict=True)]
    stratified = stratified_permutation(a, b, generator=generator(), paired=paired)
    value, low, high = probability_of_improvement(a, b, generator=generator(), paired=paired)
    return SuiteComparison(
        focus=focus,
        other=other,
        tasks=[task.task for task in tasks],
        difference=float(differences.mean()),
        interval=Interval(low=ends[0], high=ends[1]) if ends else None,
        sign_flip=procedure_of(flip),
        p=flip.p,
        p_holm=None,
        stratified=procedure_of(stratified),
        p_stratified=stratified.p,
        p_stratified_holm=None,
        improvement=estimate(value, (low, high), all(map(allows_interval, pairs))),
        family=family,
        family_size=size,
        identities_focus=[identity for one, _ in pairs for identity in one.identities],
        identities_other=[identity for _, one in pairs for identity in one.identities],
    )


def without_significance(comparison: SuiteComparison) -> SuiteComparison:
    """The comparison under a protocol that supports none."""
    return comparison.model_copy(update={"interval": None, "p": None, "p_stratified": None})


def refusal_over_tasks(focus: str | None, comparisons: Sequence[SuiteComparison], marks: bool) -> str | None:
    """Why no sign flip of the family can come out significant, in one line, or None."""
    if not comparisons:
        return f"no other method shares a task (and its seeds) with {focus}" if focus else "no focus method"
    if not marks:
        return NO_SIGNIFICANCE
    return paired_refusal([len(comparison.tasks) for comparison in comparisons], "task")
