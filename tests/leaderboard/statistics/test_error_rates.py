"""Under the null every test rejects as often as it promises: simulated rates within their binomial band.

Where a test is exact, its rate is the largest share of splits that does not exceed 5 %.
"""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.holm import holm
from leaderboard.statistics.permutation import two_samples
from leaderboard.statistics.signs import sign_flips
from leaderboard.statistics.splits import enumerated
from leaderboard.statistics.stratified import stratified_permutation

ALPHA = 0.05


def check(rejected: int, runs: int, level: float, name: str) -> None:
    """Compare with the binomial band that one seed in ten thousand leaves."""
    low, high = stats.binom.interval(1 - 1e-4, runs, level)
    print(f"{name}: {rejected / runs:.4f} of {runs} runs, promised {level:.4f}")
    assert low <= rejected <= high


def attainable(splits: int, fold: int) -> float:
    return fold * int(ALPHA * splits / fold) / splits


def exponential(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return generator.exponential(size=shape)


def normal(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return generator.normal(size=shape)


@pytest.mark.parametrize("draw", [normal, exponential])
@pytest.mark.parametrize(("n_a", "n_b"), [(5, 5), (6, 6), (8, 8), (5, 4), (7, 4), (4, 7)])
def test_two_samples(n_a: int, n_b: int, draw: object) -> None:
    generator, runs = np.random.default_rng([n_a, n_b]), 20_000 if n_a < 8 else 4_000
    pooled = draw(generator, (runs, n_a + n_b))  # type: ignore[operator]
    found = two_samples(pooled[:, :n_a], pooled[:, n_a:], generator=generator)
    level = attainable(comb(n_a + n_b, n_a), 2 if n_a == n_b else 1)
    check(sum(one.p <= ALPHA for one in found), runs, level, f"{n_a} against {n_b}, {found[0].statistic}, {draw}")
    one_sided = attainable(comb(n_a + n_b, n_a), 1)
    check(sum(one.p_greater <= ALPHA for one in found), runs, one_sided, "one-sided")


def test_drawn_splits() -> None:
    """With draws that a twentieth divides, (hits + 1) / (draws + 1) rejects in exactly 5 %."""
    generator, runs = np.random.default_rng(1), 2_000
    pooled = generator.normal(size=(runs, 24))
    # One generator for each test: tests that share their draws do not reject independently.
    rejected = sum(
        two_samples(row[None, :12], row[None, 12:], generator=generator, draws=199)[0].p <= ALPHA for row in pooled
    )
    check(rejected, runs, 0.05, "12 against 12, 199 draws")


@pytest.mark.parametrize("tasks", [6, 8, 13])
def test_sign_flips(tasks: int) -> None:
    generator, runs = np.random.default_rng(tasks), 20_000 if tasks < 13 else 4_000
    differences = generator.normal(size=(runs, tasks)) * np.linspace(1, 3, tasks)  # tasks of unequal spread
    found = sign_flips(differences, generator=generator)
    check(sum(one.p <= ALPHA for one in found), runs, attainable(2**tasks, 2), f"sign flip of {tasks}")


@pytest.mark.parametrize("sizes", [((5, 5), (5, 5), (5, 5)), ((4, 4), (5, 3), (2, 6))])
def test_stratified(sizes: tuple[tuple[int, int], ...]) -> None:
    generator, runs, rejected = np.random.default_rng(2), 3_000, 0
    for _ in range(runs):
        # Tasks differ in level and spread; within a task the two methods do not.
        a = [10 * t + (t + 1) * generator.normal(size=n_a) for t, (n_a, _) in enumerate(sizes)]
        b = [10 * t + (t + 1) * generator.normal(size=n_b) for t, (_, n_b) in enumerate(sizes)]
        rejected += stratified_permutation(a, b, generator=generator, draws=199).p <= ALPHA
    check(rejected, runs, 0.05, f"stratified {sizes}")


def test_family_wise_rate_of_holm() -> None:
    """Six methods against one focus: some null is rejected in at most 5 % of the families, with 5 seeds or 7."""
    for n, runs in ((5, 5_000), (7, 3_000)):
        generator = np.random.default_rng(n)
        focus, others = generator.normal(size=(runs, 1, n)), generator.normal(size=(runs, 6, n))
        pairs = np.broadcast_to(focus, others.shape).reshape(-1, n), others.reshape(-1, n)
        p = np.array([one.p for one in two_samples(*pairs, generator=generator)]).reshape(runs, 6)
        rate = np.mean([min(holm(row)) <= ALPHA for row in p])
        uncorrected = np.mean((p <= ALPHA).any(axis=1))
        print(f"Holm over 6, {n} seeds: {rate:.4f} of {runs} families, uncorrected {uncorrected:.4f}")
        assert rate <= stats.binom.ppf(1 - 1e-4, runs, ALPHA) / runs
        assert rate > 0.02
        assert uncorrected > 0.12


def test_family_wise_rate_of_holm_with_true_effects() -> None:
    """The four true effects of six must not let the two nulls through."""
    generator, runs, n = np.random.default_rng(3), 4_000, 6
    focus, others = generator.normal(size=(runs, 1, n)), generator.normal(size=(runs, 6, n))
    others[:, 2:] += 4.0
    pairs = np.broadcast_to(focus, others.shape).reshape(-1, n), others.reshape(-1, n)
    p = np.array([one.p for one in two_samples(*pairs, generator=generator)]).reshape(runs, 6)
    corrected = np.array([holm(row) for row in p])
    rate = np.mean((corrected[:, :2] <= ALPHA).any(axis=1))
    print(f"Holm over 6 of which 2 are null: {rate:.4f} of {runs} families")
    assert rate <= stats.binom.ppf(1 - 1e-4, runs, ALPHA) / runs
    assert np.mean(corrected[:, 2:] <= ALPHA) > 0.9


def test_studentising_keeps_the_level_where_the_small_sample_spreads_more() -> None:
    """Equal means, unequal spreads: the reason for Welch's t. The plain difference rejects far too often."""
    generator, runs = np.random.default_rng(4), 2_000
    a, b = generator.normal(0, 1, (runs, 10)), generator.normal(0, 4, (runs, 5))
    studentised = np.mean([one.p <= ALPHA for one in two_samples(a, b, generator=generator)])
    pooled = np.concatenate([a, b], axis=1)
    differences = np.abs((pooled - pooled.mean(axis=1, keepdims=True)) @ enumerated(15, 10))
    plain = np.mean(differences >= differences[:, :1] - 1e-9, axis=1)
    rate = np.mean(plain <= ALPHA)
    print(f"unequal spreads: Welch {studentised:.4f}, plain difference {rate:.4f}")
    assert studentised < 0.1
    assert rate > 1.8 * studentised
