"""The stratified permutation test against enumeration by hand and its properties."""

from __future__ import annotations

from functools import partial
from itertools import combinations, product

import numpy as np
import pytest

from leaderboard.statistics import stratified
from leaderboard.statistics.permutation import Outcome, two_sample

Tasks = list[np.ndarray]


def run(a: Tasks, b: Tasks, seed: int = 0, draws: int = 9_999) -> Outcome:
    return stratified.stratified_permutation(a, b, generator=np.random.default_rng(seed), draws=draws)


def enumerated_p(a: Tasks, b: Tasks) -> tuple[float, float]:
    """Two- and one-sided p over the product of all tasks' splits."""
    tasks = []
    for mine, theirs in zip(a, b, strict=True):
        pooled = np.concatenate([mine, theirs])
        scaled = (pooled - pooled.mean()) / pooled.std(ddof=1)
        tasks.append(
            [
                scaled[list(members)].mean() - np.delete(scaled, list(members)).mean()
                for members in combinations(range(len(pooled)), len(mine))
            ]
        )
    found = np.array([sum(parts) for parts in product(*tasks)])
    return np.mean(np.abs(found) >= abs(found[0]) - 1e-9), np.mean(found >= found[0] - 1e-9)


def near(drawn: float, exact: float, draws: int = 9_999) -> bool:
    return abs(drawn - exact) < 4 * np.sqrt(exact * (1 - exact) / draws) + 1 / draws


@pytest.mark.parametrize("sizes", [((3, 3), (2, 4)), ((4, 4), (3, 2), (2, 2))])
@pytest.mark.parametrize("sign", [1, -1])
def test_draws_approach_the_enumeration(sizes: tuple[tuple[int, int], ...], sign: int) -> None:
    generator = np.random.default_rng(len(sizes))
    a = [10.0**t * generator.normal(sign * 0.7, 1, n_a) for t, (n_a, _) in enumerate(sizes)]
    b = [10.0**t * generator.normal(0, 1, n_b) for t, (_, n_b) in enumerate(sizes)]
    two, one = enumerated_p(a, b)
    outcome = run(a, b)
    assert near(outcome.p, two)
    assert near(outcome.p_greater, one)
    assert (outcome.statistic, outcome.exact, outcome.splits) == ("mean of task-standardised differences", False, 9_999)


def test_of_one_task_it_is_the_two_sample_test() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(0.8, 1, 6), generator.normal(0, 1, 6)
    assert near(run([a], [b]).p, two_sample(a, b, generator=generator).p)


def test_more_scores_than_can_be_listed_are_shuffled() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.3, 1, 6), generator.normal(0, 1, 6)
    listed = run([a, a + 1], [b, b])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stratified, "EXACT_LIMIT", 10)
        shuffled = run([a, a + 1], [b, b])
    assert listed.p != shuffled.p
    assert near(shuffled.p, listed.p, 5_000)


def test_clear_tasks_give_the_smallest_p_and_equal_ones_one() -> None:
    high, low = [np.arange(5.0) + 10] * 4, [np.arange(5.0)] * 4
    assert run(high, low, draws=199).p == 1 / 200
    assert run(low, high, draws=199).p_greater == 1.0
    assert run(low, low).p == 1.0


def test_a_constant_task_adds_nothing() -> None:
    generator = np.random.default_rng(4)
    a, b = [generator.normal(0.5, 1, 4) for _ in range(3)], [generator.normal(0, 1, 4) for _ in range(3)]
    flat = np.full(4, 0.1 + 0.2)
    assert run([*a, flat], [*b, np.full(4, 0.3)]) == run(a, b)
    assert run([flat], [flat]).p == 1.0


def test_scale_and_shift_of_a_task_change_nothing_and_exchange_mirrors() -> None:
    generator = np.random.default_rng(5)
    a, b = [generator.normal(0.5, 1, 4) for _ in range(3)], [generator.normal(0, 1, 4) for _ in range(3)]
    moved = [[1e3 * t + 10.0**t * x for t, x in enumerate(side)] for side in (a, b)]
    assert run(*moved) == run(a, b)
    assert near(run(b, a).p, run(a, b).p, 4_000)
    assert run(a, b) == run(a, b)
    assert run(a, b).p != run(a, b, seed=1).p


def test_tasks_must_match() -> None:
    for a, b in (([], []), ([np.ones(2)], []), ([np.ones(0)], [np.ones(2)]), ([np.array([np.nan])], [np.ones(2)])):
        with pytest.raises(ValueError, match="expected"):
            run(a, b)


def test_paired_tasks_exchange_scores_within_their_pairs_alone() -> None:
    generator = np.random.default_rng(3)
    splits = generator.normal(0, 1, (2, 6))  # far larger than the gain
    a, b = [splits[0] + 0.05, splits[1] + 0.05], list(splits)
    run = partial(stratified.stratified_permutation, a, b, draws=4_000)
    unpaired = run(generator=np.random.default_rng(0))
    paired = run(generator=np.random.default_rng(0), paired=[True, True])
    assert unpaired.p > 0.5
    assert (paired.pairing, unpaired.pairing) == ("paired", "unpaired")
    # All 12 signs must agree: 2 of 4,096 patterns are as extreme.
    assert paired.p < 0.003
    with pytest.raises(ValueError, match="as many scores on both sides"):
        stratified.stratified_permutation([[1, 2]], [[1]], generator=generator, paired=[True])


def test_the_paired_null_is_rejected_as_often_as_promised() -> None:
    generator = np.random.default_rng(5)
    runs, rejected = 600, 0
    for _ in range(runs):
        splits = generator.normal(0, 3, (3, 5))
        a, b = list(splits + generator.normal(0, 1, (3, 5))), list(splits + generator.normal(0, 1, (3, 5)))
        found = stratified.stratified_permutation(a, b, generator=generator, draws=199, paired=[True] * 3)
        rejected += found.p <= 0.05
    assert abs(rejected / runs - 0.05) < 3.9 * (0.05 * 0.95 / runs) ** 0.5
