"""Average ranks over the tasks of a suite, and the groups of neighbours that no test separates (Demsar 2006)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaderboard.content import Ranking
from leaderboard.statistics.floors import ALPHA, paired_refusal
from leaderboard.statistics.holm import holm
from leaderboard.statistics.ranks import average_ranks, neighbour_groups
from leaderboard.statistics.signs import sign_flips
from leaderboard.suite_scores import SuiteScores
from leaderboard.task_tests import NO_SIGNIFICANCE, generator


def ranking(rows: Sequence[str], scores: SuiteScores, marks: bool) -> Ranking | None:
    """Rank ``rows``, which have a record on every task, by their means; None for fewer than two.

    Instead of one critical difference, every pair has its own exact sign flip over tasks, with Holm
    over all pairs.
    """
    if len(rows) < 2:
        return None
    tasks, m = scores.tasks, len(rows)
    means = np.array([[scores.turned(row, task).mean() for task in tasks] for row in rows])  # (m, T)
    ranks = average_ranks(means)
    order = np.argsort(ranks, kind="stable")
    ranks, names = ranks[order], [rows[place] for place in order]
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    corrected: list[list[float | None]] = [[None] * m for _ in range(m)]
    reason = scores.no_scale or (paired_refusal([len(tasks)] * len(pairs), "task") if marks else NO_SIGNIFICANCE)
    if marks and scores.no_scale is None:
        differences = np.array([scores.differences(names[i], names[j], tasks) for i, j in pairs])  # (pairs, T)
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
