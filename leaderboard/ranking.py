"""Average ranks over the tasks of a suite, and the groups of neighbours that no test separates (Demsar 2006)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from leaderboard.content import Ranking
from leaderboard.statistics.floors import ALPHA, paired_refusal
from leaderboard.statistics.holm import holm
from leaderboard.statistics.ranks import average_ranks, neighbour_groups
from leaderboard.statistics.signs import sign_flips
from leaderboard.suite_scores import SuiteScores
from leaderboard.task_tests import NO_SIGNIFICANCE, generator


def ranking(
    rows: Sequence[str], scores: SuiteScores, shared: Mapping[str, Sequence[int]], marks: bool
) -> Ranking | None:
    """Rank ``rows``, which have a record on every task, by their means; None for fewer than two.

    Instead of one critical difference, every pair has its own exact sign flip over tasks, with Holm
    over all pairs. ``shared`` are the seeds that ranks and tests rest on where the seed draws the split; they are
    the same for all rows, so that a row is not ranked by its splits.
    """
    tasks, m = scores.tasks, len(rows)
    if m < 2 or not all(shared.values()):
        return None
    means = np.array([[scores.level(row, task, shared) for task in tasks] for row in rows], dtype=np.float64)  # (m, T)
    ranks = average_ranks(means * [1.0 if task.higher_is_better else -1.0 for task in tasks])
    order = np.argsort(ranks, kind="stable")
    means, ranks, names = means[order], ranks[order], [rows[place] for place in order]
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    corrected: list[list[float | None]] = [[None] * m for _ in range(m)]
    reason = scores.no_scale or (paired_refusal([len(tasks)] * len(pairs), "task") if marks else NO_SIGNIFICANCE)
    if marks and scores.no_scale is None:
        removed = scores.removed(means)
        differences = np.array([removed[i] - removed[j] for i, j in pairs])  # (pairs, T)
        tests = sign_flips(differences, generator=generator())
        for (i, j), p in zip(pairs, holm([test.p for test in tests]), strict=True):
            corrected[i][j] = corrected[j][i] = p
    return Ranking(
        rows=names,
        average_ranks=[float(rank) for rank in ranks],
        groups=[[names[place] for place in group] for group in _groups(ranks, corrected)] if reason is None else [],
        p_holm=corrected,
        family_size=len(pairs),
        no_groups=reason,
    )


def _groups(ranks: np.ndarray[tuple[int, ...], np.dtype[np.float64]], p: list[list[float | None]]) -> list[list[int]]:
    square = np.array([[1.0 if value is None else value for value in line] for line in p])
    return neighbour_groups(ranks, square, ALPHA)
