"""Interquartile means, improvement and their bootstraps: by hand, by scipy and by exact enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics.bootstrap import Aggregate, aggregate, iqm, probability_of_improvement, won
from leaderboard.statistics.scale import error_removed

Tasks = list[np.ndarray]


def fresh(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tasks(count: int, n: int, level: float = 0.8, spread: float = 0.02, seed: int = 0) -> Tasks:
    return list(fresh(seed).normal(level, spread, (count, n)))


def run(scores: Tasks, reference: Tasks, higher: bool = True, seed: int = 0, draws: int = 2_000) -> Aggregate:
    return aggregate(scores, reference, [higher] * len(scores), generator=fresh(seed), draws=draws)


def test_iqm_by_hand() -> None:
    assert iqm([0.0, 1.0, 3.0, 100.0]) == 2.0
    assert iqm([5.0, 0.0, 1.0, 3.0, -100.0]) == pytest.approx(4 / 3)
    assert iqm([[7.0], [8.0]]).tolist() == [7.0, 8.0]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_iqm_is_scipys_trimmed_mean(values: list[float]) -> None:
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-12)


def test_iqm_is_over_the_last_axis() -> None:
    values = fresh().normal(size=(3, 4, 11))
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=-1))


@pytest.mark.parametrize("higher", [True, False])
def test_point_values_are_of_all_shares_together(higher: bool) -> None:
    scores, reference = [*tasks(2, 5), fresh(1).normal(0.7, 0.05, 3)], tasks(3, 4, seed=2)
    found = run(scores, reference, higher)
    shares = [error_removed(s, r.mean(), higher_is_better=higher) for s, r in zip(scores, reference, strict=True)]
    assert found.iqm == pytest.approx(stats.trim_mean(np.concatenate(shares), 0.25))
    assert found.error_removed == pytest.approx([share.mean() for share in shares])
    for value, (low, high) in zip(found.error_removed, found.error_removed_intervals, strict=True):
        assert low < value < high
    assert found.iqm_interval[0] < found.iqm < found.iqm_interval[1]


def test_interval_of_one_task_is_that_of_all_resamples() -> None:
    """Five scores and three of the baseline have 3,125 x 27 equally likely resamples."""
    own, baseline = np.array([0.9, 0.8, 0.86, 0.83, 0.91]), np.array([0.7, 0.76, 0.71])
    means = [np.array(list(product(sample, repeat=len(sample)))).mean(axis=1) for sample in (own, baseline)]
    resampled = error_removed(means[0][:, None], means[1], higher_is_better=True)
    found = run([own], [baseline], draws=40_000)
    assert found.error_removed_intervals[0] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=5e-3)


def test_iqm_interval_is_that_of_a_plain_loop() -> None:
    """A second implementation, one draw at a time, with unequal numbers of seeds."""
    scores, reference = [*tasks(2, 6, 0.85), fresh(3).normal(0.83, 0.02, 4)], tasks(3, 5, 0.8, seed=4)
    generator = fresh(5)

    def share(t: int) -> np.ndarray:
        s, r = generator.choice(scores[t], len(scores[t])), generator.choice(reference[t], len(reference[t]))
        return error_removed(s, r.mean(), higher_is_better=True)

    within = [stats.trim_mean(np.concatenate([share(t) for t in range(3)]), 0.25) for _ in range(3_000)]
    over = [
        stats.trim_mean(np.concatenate([share(t) for t in generator.integers(0, 3, 3)]), 0.25) for _ in range(3_000)
    ]
    found = run(scores, reference, draws=8_000)
    assert found.iqm_interval == pytest.approx(np.quantile(within, [0.025, 0.975]), abs=0.01)
    assert found.iqm_interval_over_tasks == pytest.approx(np.quantile(over, [0.025, 0.975]), abs=0.015)


def test_the_baseline_removes_nothing_of_its_own_error_in_every_draw() -> None:
    reference = [*tasks(2, 5), np.array([1.0, 1.0, 0.9])]  # of which 8 in 27 draws leave no error
    found = run(reference, reference)
    assert found.error_removed.tolist() == [0.0] * 3
    assert found.error_removed_intervals == [(0.0, 0.0)] * 3
    copied = run([task.copy() for task in reference], reference)
    assert copied.error_removed.tolist() == [0.0] * 3
    assert copied.error_removed_intervals[0][0] < 0 < copied.error_removed_intervals[0][1]
    assert np.isfinite(copied.iqm_interval).all()


def test_tasks_that_differ_widen_the_interval_over_tasks() -> None:
    reference = tasks(8, 10, 0.7, 0.005)
    found = run([task + gain for task, gain in zip(reference, np.linspace(-0.1, 0.2, 8), strict=True)], reference)
    within, over = found.iqm_interval, found.iqm_interval_over_tasks
    assert over[0] < within[0] < within[1] < over[1]


def test_scores_without_spread_have_no_interval() -> None:
    found = run([np.full(5, 0.9)] * 3, [np.full(4, 0.8)] * 3)
    assert found.iqm == pytest.approx(0.5)
    assert [*found.iqm_interval, *found.iqm_interval_over_tasks] == pytest.approx([0.5] * 4)


def test_units_of_an_error_do_not_matter_and_seeds_repeat() -> None:
    scores, reference = tasks(3, 5, 1.0), tasks(3, 5, 1.2, seed=1)
    once, again = run(scores, reference, False), run([100 * s for s in scores], [100 * r for r in reference], False)
    assert once.iqm_interval == pytest.approx(again.iqm_interval)
    assert once.error_removed == pytest.approx(again.error_removed)
    assert run(scores, reference, False).iqm_interval == once.iqm_interval
    assert run(scores, reference, False, seed=1).iqm_interval != once.iqm_interval


def test_interval_covers_the_true_share() -> None:
    """Twenty seeds: the percentile interval is a little short at that size."""
    generator, covered, runs = fresh(6), 0, 400
    for _ in range(runs):
        own, baseline = generator.normal(0.85, 0.02, 20), generator.normal(0.8, 0.02, 20)
        low, high = run([own], [baseline], seed=int(generator.integers(1e9)), draws=400).error_removed_intervals[0]
        covered += low <= 0.25 <= high
    assert 0.89 < covered / runs < 0.98


@pytest.mark.parametrize(
    ("scores", "reference", "higher", "message"),
    [
        ([], [], [], "at least one"),
        ([[0.5]], [[0.5], [0.6]], [True], "1, 2 and 1"),
        ([[0.5]], [[1.0, 1.0]], [True], "leaves an error"),
        ([[0.5]], [[0.0]], [False], "leaves an error"),
        ([[]], [[0.5]], [True], "finite"),
        ([[float("nan")]], [[0.5]], [True], "finite"),
    ],
)
def test_what_cannot_be_aggregated_is_refused(
    scores: list[list[float]], reference: list[list[float]], higher: list[bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate(scores, reference, higher, generator=fresh())


def test_improvement_by_hand() -> None:
    value, low, high = probability_of_improvement([[1, 2], [5, 6]], [[2, 3], [1, 2]], generator=fresh())
    assert value == pytest.approx((0.125 + 1.0) / 2)  # of four pairs none won and one tied
    assert (low, high) == (0.5, 0.75)  # drawn twos tie at most: half of a task
    assert probability_of_improvement([[1.0]], [[1.0]], generator=fresh()) == (0.5, 0.5, 0.5)


def test_improvement_interval_is_that_of_all_resamples() -> None:
    a, b = [1.0, 3.0, 5.0], [2.0, 3.0, 0.0]

    def wins(x: tuple[float, ...], y: tuple[float, ...]) -> float:
        return float(np.mean([(p > q) + (p == q) / 2 for p in x for q in y]))

    resampled = [wins(x, y) for x in product(a, repeat=3) for y in product(b, repeat=3)]
    value, low, high = probability_of_improvement([a], [b], generator=fresh(), draws=40_000)
    assert value == pytest.approx(wins(tuple(a), tuple(b)))
    assert (low, high) == pytest.approx(tuple(np.quantile(resampled, [0.025, 0.975])), abs=0.03)


def test_improvement_is_the_mann_whitney_statistic_and_exchange_mirrors() -> None:
    a, b = tasks(3, 6, 0.82), tasks(3, 5, 0.8, seed=1)
    value, low, high = probability_of_improvement(a, b, generator=fresh())
    expected = np.mean([stats.mannwhitneyu(x, y).statistic / 30 for x, y in zip(a, b, strict=True)])
    assert value == pytest.approx(expected)
    other = probability_of_improvement(b, a, generator=fresh())
    assert other == pytest.approx((1 - value, 1 - high, 1 - low), abs=0.03)
    with pytest.raises(ValueError, match="3 and 2"):
        probability_of_improvement(a, b[:2], generator=fresh())


def test_paired_scores_are_compared_and_drawn_together() -> None:
    """Splits far apart, and a gain of a hundredth on each: every run wins at its own seed, half of all pairs do not."""
    splits = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    a, b = splits + 0.01, splits
    assert probability_of_improvement([a], [b], generator=fresh(), paired=[True]) == (1.0, 1.0, 1.0)
    loose = probability_of_improvement([a], [b], generator=fresh())
    assert loose[0] == pytest.approx(15 / 25)
    assert loose[1] < 0.5
    mixed = probability_of_improvement([a, a], [b, b], generator=fresh(), paired=[True, False])
    assert mixed[0] == pytest.approx((1 + 15 / 25) / 2)


def test_improvement_interval_of_pairs_is_that_of_all_resamples() -> None:
    """Of five pairs two are won and one is tied: 3,125 equally likely resamples."""
    a, b = np.array([2.0, 9.0, 4.0, 1.0, 3.0]), np.array([1.0, 8.0, 4.0, 5.0, 6.0])
    shares = [np.mean(draw) for draw in product([1.0, 1.0, 0.5, 0.0, 0.0], repeat=5)]
    value, low, high = probability_of_improvement([a], [b], generator=fresh(), draws=40_000, paired=[True])
    assert value == 0.5
    assert (low, high) == pytest.approx(tuple(np.quantile(shares, [0.025, 0.975])), abs=0.051)


def test_interval_of_paired_scores_is_that_of_all_resamples_of_pairs() -> None:
    baseline = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    own = baseline + np.array([0.02, 0.01, 0.0, 0.01, 0.03])
    places = np.array(list(product(range(5), repeat=5)))
    resampled = error_removed(own[places].mean(axis=1), baseline[places].mean(axis=1), higher_is_better=True)
    found = aggregate([own], [baseline], [True], generator=fresh(), draws=40_000, paired=[True])
    (ends,) = found.error_removed_intervals
    assert ends == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=3e-3)
    assert ends[0] > 0, "a gain on every split"
    assert run([own], [baseline]).error_removed_intervals[0][0] < -0.2, "which the spread of the splits would hide"
    assert found.error_removed == pytest.approx(run([own], [baseline]).error_removed)


def test_unpaired_draws_are_not_changed_by_a_task_that_says_so() -> None:
    scores, reference = tasks(2, 5, 0.85), tasks(2, 5)
    plain = aggregate(scores, reference, [True] * 2, generator=fresh(), paired=[False] * 2)
    assert plain.iqm_interval == run(scores, reference).iqm_interval


def test_pairs_of_unequal_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="paired task, got 2 and 1"):
        probability_of_improvement([[1.0, 2.0]], [[1.0]], generator=fresh(), paired=[True])
    with pytest.raises(ValueError, match="paired task, got 2 and 1"):
        aggregate([[0.5, 0.6]], [[0.5]], [True], generator=fresh(), paired=[True])


def test_a_tie_is_half_a_win_also_where_rounding_hides_it() -> None:
    assert won([1, 2], [2, 3]).tolist() == [[0.0, 0.0], [0.5, 0.0]]
    third = 0.1 + 0.2  # 0.30000000000000004
    assert won([third], [0.3]).tolist() == [[0.5]]
    assert won([1e-20], [0.0]).tolist() == [[1.0]]
    assert won([-third], [-0.3]).tolist() == [[0.5]]
