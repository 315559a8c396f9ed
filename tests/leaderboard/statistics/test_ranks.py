"""Average ranks against scipy; groups by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics.ranks import average_ranks, neighbour_groups


def test_ranks_by_hand() -> None:
    assert average_ranks([[0.9, 0.5], [0.8, 0.5], [0.7, 0.6]]).tolist() == [1.75, 2.25, 2.0]


def test_means_that_differ_by_rounding_are_tied() -> None:
    scores = [0.1, 0.2, 0.3, 0.7, 0.9]
    means = {float(np.mean(order)) for order in itertools.permutations(scores)}
    assert len(means) > 1
    assert average_ranks([[mean] for mean in means]).tolist() == [(len(means) + 1) / 2] * len(means)
    assert average_ranks([[-1.0], [-1.0 - 1e-9]]).tolist() == [1, 2]


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10_000))
def test_ranks_are_scipys(rows: int, tasks: int, seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 4, (rows, tasks)) / 4
    ranks = average_ranks(scores)
    assert ranks == pytest.approx(stats.rankdata(-scores, axis=0).mean(axis=1))
    assert ranks.sum() == pytest.approx(rows * (rows + 1) / 2)


@pytest.mark.parametrize("bad", [[], [1.0], [[float("nan")]], [[]]])
def test_what_has_no_rank_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite scores"):
        average_ranks(bad)


def pairs(m: int, separated: set[tuple[int, int]]) -> np.ndarray:
    """Symmetric p-values: 0.01 for the pairs named, 0.5 for the others, NaN on the diagonal."""
    found = np.full((m, m), 0.5)
    for i, j in separated:
        found[i, j] = found[j, i] = 0.01
    np.fill_diagonal(found, np.nan)
    return found


@pytest.mark.parametrize(
    ("separated", "groups"),
    [
        (set(), [[2, 0, 3, 1]]),
        ({(2, 1)}, [[2, 0, 3], [0, 3, 1]]),
        ({(2, 3), (2, 1), (0, 1)}, [[2, 0], [0, 3], [3, 1]]),
        ({(0, 3)}, [[2, 0], [3, 1]]),
        ({(2, 0), (0, 3), (3, 1)}, []),  # 2 and 3 are not separated, but are no neighbours
        ({(2, 0), (2, 3), (2, 1)}, [[0, 3, 1]]),
    ],
)
def test_groups_by_hand(separated: set[tuple[int, int]], groups: list[list[int]]) -> None:
    assert neighbour_groups([2.0, 4.0, 1.0, 3.0], pairs(4, separated), 0.05) == groups


def test_p_at_alpha_separates_and_none_on_the_diagonal_is_fine() -> None:
    assert neighbour_groups([1.0, 2.0], [[None, 0.05], [0.05, None]], 0.05) == []
    assert neighbour_groups([1.0, 2.0], [[None, 0.051], [0.051, None]], 0.05) == [[0, 1]]
    assert neighbour_groups([1.0], [[None]], 0.05) == []


@given(st.integers(1, 7), st.integers(0, 10_000))
def test_groups_by_brute_force(m: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    ranks = generator.permutation(m) + 1.0
    p = generator.uniform(0, 0.12, (m, m))
    p = (p + p.T) / 2
    order = [int(index) for index in np.argsort(ranks)]
    runs = [
        order[i:j]
        for i in range(m)
        for j in range(i + 2, m + 1)
        if all(p[x, y] > 0.05 for x in order[i:j] for y in order[i:j] if x != y)
    ]
    maximal = [run for run in runs if not any(set(run) < set(other) for other in runs)]
    assert neighbour_groups(ranks, p, 0.05) == maximal
