"""The stratified permutation test: two methods on exactly these tasks.

Letters: T tasks; n_a and n_b scores of A and B on a task. Larger scores are better.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.statistics.permutation import EXACT_LIMIT, Outcome
from leaderboard.statistics.splits import TOLERANCE, Bools, Floats, Tally, enumerated, one_sample

STRATIFIED_DRAWS = 9_999


def stratified_permutation(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], *, generator: np.random.Generator, draws: int = STRATIFIED_DRAWS
) -> Outcome:
    """Test whether A and B, T arrays (n_a,) and (n_b,) each, come from one distribution on every task.

    Labels are shuffled within each task. The statistic is the mean over tasks of the difference of means,
    each in standard deviations (with N - 1) of the task's pooled scores; a task whose scores are all equal
    contributes 0. p = (hits + 1) / (draws + 1).

    Raises
    ------
    ValueError: if A and B have not equally many tasks, or none, or a sample is empty, not flat, or not finite.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"expected equally many tasks on both sides, at least one, got {len(a)} and {len(b)}")
    total = np.zeros((1, draws + 1))
    for mine, theirs in zip(a, b, strict=True):
        first, second = one_sample(mine)[0], one_sample(theirs)[0]
        total += _differences(first, second, generator, draws)
    statistics = total / len(a)
    tally = Tally(statistics[:, 0].copy(), np.array([TOLERANCE]), mirrored=False)
    tally.add(slice(0, 1), statistics)
    ((p, p_greater),) = tally.p_values()
    return Outcome(p, p_greater, "mean of task-standardised differences", "unpaired", False, draws)


def _differences(first: Floats, second: Floats, generator: np.random.Generator, draws: int) -> Floats:
    """The standardised difference of one task as observed and under ``draws`` shuffles, shape (draws + 1,)."""
    pooled = np.concatenate([first, second])
    n_a, n_b = len(first), len(second)
    # Drawn for a constant task too, so that a task's shuffles do not depend on the scores of the others.
    members = np.concatenate([(np.arange(n_a + n_b) < n_a)[:, None], _shuffles(n_a, n_b, generator, draws)], axis=1)
    centred = pooled - pooled.mean()
    if np.abs(centred).max() <= TOLERANCE * np.abs(pooled).max():
        return np.zeros(draws + 1)
    standardised = centred / centred.std(ddof=1)
    difference: Floats = (standardised * (1 / n_a + 1 / n_b)) @ members.astype(np.float64)
    return difference


def _shuffles(n_a: int, n_b: int, generator: np.random.Generator, draws: int) -> Bools:
    """Memberships of A, shape (N, draws): picked from the list of all splits where there is one."""
    every = comb(n_a + n_b, n_a)
    if every <= EXACT_LIMIT:
        return enumerated(n_a + n_b, n_a)[:, generator.integers(0, every, draws)]
    drawn: Bools = generator.permuted(np.tile(np.arange(n_a + n_b) < n_a, (draws, 1)), axis=1).T
    return drawn
