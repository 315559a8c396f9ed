"""Average ranks and the groups that no test separates: what a critical-difference picture shows (Demsar 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.statistics.splits import TOLERANCE


def average_ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Mean rank over T tasks of m rows, (m, T) to (m,): 1 is the largest score, ties share the mean of their ranks.

    Scores that differ by a relative 1e-12 or less are tied, so that rounding ranks nothing.

    Raises
    ------
    ValueError: if the scores are not rows of at least one finite number.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"expected finite scores of rows on tasks, got {scores!r}")
    size = np.abs(values)
    tied = np.abs(values[None] - values[:, None]) <= TOLERANCE * np.maximum(size[None], size[:, None])
    better = ((values[None] > values[:, None]) & ~tied).sum(axis=1)
    return np.asarray((better + (tied.sum(axis=1) + 1) / 2).mean(axis=1))  # tied with itself too


def neighbour_groups(ranks: ArrayLike, p_holm: ArrayLike, alpha: float) -> list[list[int]]:
    """Return the maximal runs of at least two neighbours in rank order in which no pair is separated.

    Parameters
    ----------
    ranks: average ranks, shape (m,).
    p_holm: corrected p-values of all pairs, shape (m, m), symmetric; the diagonal is not read. A pair is
        separated where its p is at most ``alpha``.

    Returns
    -------
    Indices into ``ranks``, best first; no run lies within another.
    """
    order = np.argsort(np.asarray(ranks, dtype=np.float64), kind="stable")
    separated = np.asarray(p_holm, dtype=np.float64)[np.ix_(order, order)] <= alpha
    found: list[list[int]] = []
    reached = 0
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and not separated[first : last + 1, last + 1].any():
            last += 1
        if last > max(first, reached):
            found.append([int(index) for index in order[first : last + 1]])
            reached = last
    return found
