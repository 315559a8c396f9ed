"""The stratified permutation test: two methods on exactly these tasks.

Letters: T tasks; n_a and n_b scores of A and B on a task. Larger scores are better.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.statistics.permutation import EXACT_LIMIT, Outcome
from leaderboard.statistics.splits import TOLERANCE, Bools, Floats, Tally, enumerated, one_sample

STRATIFIED_DRAWS = 9_999


def stratified_permutation(
    a: Sequence[ArrayLike],
    b: Sequence[ArrayLike],
    *,
    generator: np.random.Generator,
    draws: int = STRATIFIED_DRAWS,
    paired: Sequence[bool] = (),
) -> Outcome:
    """Test whether A and B, T arrays (n_a,) and (n_b,) each, come from one distribution on every task.

    Labels are shuffled within each task. The statistic is the mean over tasks of the difference of means,
    each in standard deviations (with N - 1) of the task's pooled scores; a task whose scores are all equal
    contributes 0. p = (hits + 1) / (draws + 1).

    Parameters
    ----------
    paired: for each task whether score k of A and score k of B belong together; then they are exchanged
        with each other alone. By default on no task.

    Raises
    ------
    ValueError: if A and B have not equally many tasks, or none, a sample is empty, not flat, or not finite, or
        paired samples have not equally many scores.
    """
    together = paired or [False] * len(a)
    if len(a) != len(b) or not len(a):
        raise ValueError(f"expected equally many tasks on both sides, at least one, got {len(a)} and {len(b)}")
    total = np.zeros((1, draws + 1))
    for mine, theirs, pairs in zip(a, b, together, strict=True):
        first, second = one_sample(mine)[0], one_sample(theirs)[0]
        total += (_exchanged if pairs else _differences)(first, second, generator, draws)
    statistics = total / len(a)
    tally = Tally(statistics[:, 0].copy(), np.array([TOLERANCE]), mirrored=False)
    tally.add(slice(0, 1), statistics)
    ((p, p_greater),) = tally.p_values()
    pairing: Literal["unpaired", "paired"] = "paired" if all(together) else "unpaired"
    return Outcome(p, p_greater, "mean of task-standardised differences", pairing, False, draws)


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


def _exchanged(first: Floats, second: Floats, generator: np.random.Generator, draws: int) -> Floats:
    """The same where pairs (n,) are exchanged with each other."""
    if first.shape != second.shape:
        raise ValueError(f"expected as many scores on both sides of a paired task, got {first.size} and {second.size}")
    signs = np.concatenate(
        [np.ones((first.size, 1)), generator.integers(0, 2, (first.size, draws)) * 2.0 - 1.0], axis=1
    )
    pooled = np.concatenate([first, second])
    centred = pooled - pooled.mean()
    if np.abs(centred).max() <= TOLERANCE * np.abs(pooled).max():
        return np.zeros(draws + 1)
    difference: Floats = (first - second) / (first.size * centred.std(ddof=1)) @ signs
    return difference


def _shuffles(n_a: int, n_b: int, generator: np.random.Generator, draws: int) -> Bools:
    """Memberships of A, shape (N, draws): picked from the list of all splits where there is one."""
    every = comb(n_a + n_b, n_a)
    if every <= EXACT_LIMIT:
        return enumerated(n_a + n_b, n_a)[:, generator.integers(0, every, draws)]
    drawn: Bools = generator.permuted(np.tile(np.arange(n_a + n_b) < n_a, (draws, 1)), axis=1).T
    return drawn
