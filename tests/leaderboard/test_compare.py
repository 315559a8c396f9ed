"""Marks, ties and effects of one task."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.compare import compare_with_focus, smallest_effect_seen
from leaderboard.content import Entry, Summary
from leaderboard.pairwise import mark_ties, pairwise
from leaderboard.statistics.floors import smallest_paired_effect
from leaderboard.statistics.holm import holm
from leaderboard.task_tests import TaskTests


def entry(row: str, scores: list[float], planned: int | None = None) -> Entry:
    n = len(scores)
    summary = Summary(
        mean=float(np.mean(scores)),
        sd=float(np.std(scores, ddof=1)) if n > 1 else None,
        n=n,
        scores=scores,
        seeds=list(range(n)),
        identities=[f"{row}{seed}" for seed in range(n)],
    )
    return Entry(row=row, summary=summary, readouts={}, cost=None, planned=planned or n, skipped=None)


def around(centre: float, n: int = 5) -> list[float]:
    return (centre + np.linspace(-0.01, 0.01, n)).tolist()


@pytest.mark.parametrize(
    ("higher", "expected"), [(True, ["worse", None, "better"]), (False, ["better", None, "worse"])]
)
def test_marks_point_the_way_the_metric_runs(higher: bool, expected: list[str | None]) -> None:
    entries = [
        entry("low", around(0.7)),
        entry("same", around(0.801)),
        entry("high", around(0.9)),
        entry("focus", around(0.8)),
    ]
    found, reason = compare_with_focus(entries, "focus", "family", TaskTests(higher), marks=True)
    assert reason is None
    assert [item.mark for item in entries[:3]] == expected
    assert found[0].effect == pytest.approx(0.1 if higher else -0.1)
    assert found[0].p == pytest.approx(2 / 252)
    assert found[0].p_holm == pytest.approx(6 / 252)
    assert found[0].p_focus_better == pytest.approx(1 / 252 if higher else 1.0)
    assert found[0].probability_better == (1.0 if higher else 0.0)
    assert found[0].effect_sd == pytest.approx(found[0].effect / np.std(around(0.7), ddof=1))
    assert found[0].identities_other == [f"low{seed}" for seed in range(5)]
    assert {item.family_size for item in found} == {3}
    assert found[0].seed_correlation == pytest.approx(1.0)


def test_too_few_seeds_give_p_but_no_marks() -> None:
    entries = [entry("far", around(0.2, 4)), entry("also", around(0.3, 4)), entry("focus", around(0.8, 4))]
    found, reason = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    assert reason is not None
    assert reason.startswith("4 seeds allow p >= 0.029, a family of 2 tests")
    assert all(item.mark is None for item in entries)
    assert found[0].p == pytest.approx(2 / 70)


def test_a_protocol_without_significance_has_no_p() -> None:
    entries = [entry("far", around(0.2)), entry("focus", around(0.8))]
    found, reason = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=False)
    assert "no significance" in (reason or "")
    assert (found[0].p, found[0].p_focus_better, found[0].p_holm) == (None, None, None)
    assert found[0].effect == pytest.approx(0.6)
    assert "no significance" in (mark_ties(entries, TaskTests(True), marks=False)[0] or "")
    assert not any(item.tied_with_best or item.mark for item in entries)


def test_unequal_n_is_studentised_and_marked() -> None:
    entries = [entry("short", around(0.7, 4), planned=5), entry("focus", around(0.8))]
    found, _ = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    assert (found[0].statistic, found[0].incomplete, found[0].n_focus, found[0].n_other) == ("Welch t", True, 5, 4)


def test_a_single_seed_has_no_sd_and_no_mark() -> None:
    entries = [entry("one", [0.7]), entry("focus", [0.8])]
    found, reason = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    assert found[0].effect_sd is None
    assert found[0].seed_correlation is None
    assert reason is not None
    assert reason.startswith("1 seed allows")


def test_equal_scores_have_no_effect_in_sd() -> None:
    entries = [entry("same", [0.8] * 5), entry("focus", [0.8] * 5)]
    found, _ = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    assert (found[0].effect_sd, found[0].p, found[0].probability_better) == (None, 1.0, 0.5)


def test_no_focus_and_nobody_to_compare_with() -> None:
    assert compare_with_focus([entry("a", around(0.8))], None, "f", TaskTests(True), True) == ([], "no focus method")
    assert "no record" in (compare_with_focus([entry("a", around(0.8))], "b", "f", TaskTests(True), True)[1] or "")
    assert "no other method" in (
        compare_with_focus([entry("a", around(0.8))], "a", "f", TaskTests(True), True)[1] or ""
    )


def test_tied_group_is_what_a_test_does_not_separate_from_the_best() -> None:
    entries = [
        entry("best", around(0.9)),
        entry("near", around(0.899)),
        entry("far", around(0.7)),
        entry("one", [0.89]),
    ]
    assert mark_ties(entries, TaskTests(True), marks=True) == (None, ["one"])
    # One seed cannot be separated from anything, so it is not called tied.
    assert [item.tied_with_best for item in entries] == [True, True, False, False]
    lower = [item.model_copy(update={"tied_with_best": False}) for item in entries]
    mark_ties(lower, TaskTests(False), marks=True)
    assert [item.tied_with_best for item in lower] == [False, False, True, False]


def test_nothing_is_tied_without_enough_seeds_or_company() -> None:
    three = [entry("a", around(0.9, 3)), entry("b", around(0.1, 3))]
    assert "too few seeds" in (mark_ties(three, TaskTests(True), marks=True)[0] or "")
    assert not any(item.tied_with_best for item in three)
    assert "nothing to compare" in (mark_ties([entry("a", around(0.9))], TaskTests(True), marks=True)[0] or "")


def test_smallest_effect_uses_the_shortest_sample() -> None:
    entries = [entry("a", around(0.7, 5)), entry("focus", around(0.8, 8))]
    found, _ = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    all_five = [entry("a", around(0.7, 5)), entry("focus", around(0.8, 5))]
    other, _ = compare_with_focus(all_five, "focus", "family", TaskTests(True), marks=True)
    first, second = (smallest_effect_seen(all_five, one, TaskTests(True)) for one in (found, other))
    assert first == second
    assert first is not None
    assert first > 0


def test_the_interval_leaves_zero_out_where_the_test_rejects_and_is_in_metric_units() -> None:
    entries = [entry("low", around(0.7)), entry("same", around(0.801)), entry("focus", around(0.8))]
    found, _ = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    far, near = found[0].interval, found[1].interval
    assert far is not None
    assert near is not None
    assert 0 < far.low < 0.1 < far.high
    assert near.low < 0 < near.high
    worse, _ = compare_with_focus(entries, "focus", "family", TaskTests(False), marks=True)
    assert worse[0].interval is not None
    assert (worse[0].interval.low, worse[0].interval.high) == pytest.approx((-far.high, -far.low))


def test_three_seeds_have_no_interval() -> None:
    entries = [entry("low", around(0.7, 3)), entry("focus", around(0.8, 3))]
    assert compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)[0][0].interval is None


@pytest.mark.parametrize(("higher", "expected"), [(True, 0.1 / 0.25), (False, -0.1 / 0.75)])
def test_the_effect_in_shares_of_fine_tuning_s_error(higher: bool, expected: float) -> None:
    entries = [entry("low", around(0.7)), entry("focus", around(0.8))]
    found, _ = compare_with_focus(entries, "focus", "family", TaskTests(higher, reference=0.75), marks=True)
    assert found[0].effect_error_removed == pytest.approx(expected)
    without, _ = compare_with_focus(entries, "focus", "family", TaskTests(higher), marks=True)
    assert without[0].effect_error_removed is None
    perfect, _ = compare_with_focus(entries, "focus", "family", TaskTests(True, reference=1.0), marks=True)
    assert perfect[0].effect_error_removed is None


def test_where_the_seed_draws_the_split_common_seeds_are_compared_in_pairs() -> None:
    easy = np.linspace(0.5, 0.9, 6)  # the split moves a score far more than the method does
    entries = [entry("other", easy.tolist()), entry("focus", (easy + 0.01).tolist())]
    unpaired, _ = compare_with_focus(entries, "focus", "family", TaskTests(True), marks=True)
    paired, refused = compare_with_focus(entries, "focus", "family", TaskTests(True, paired=True), marks=True)
    assert refused is None
    assert (paired[0].pairing, paired[0].splits, paired[0].p) == ("paired", 64, 2 / 64)
    assert unpaired[0].p is not None
    assert unpaired[0].p > 0.5
    assert paired[0].interval is not None
    assert paired[0].interval.low == pytest.approx(0.01)
    five = [entry("other", easy[:5].tolist()), entry("focus", (easy[:5] + 0.01).tolist())]
    assert "5 seeds allow p >= 0.062" in str(
        compare_with_focus(five, "focus", "f", TaskTests(True, paired=True), True)[1]
    )


def test_pairs_without_a_common_seed_have_no_p() -> None:
    other = entry("other", around(0.7))
    assert other.summary
    other.summary.seeds = [10, 11, 12, 13, 14]
    found, _ = compare_with_focus(
        [other, entry("focus", around(0.8))], "focus", "family", TaskTests(True, paired=True), marks=True
    )
    assert (found[0].p, found[0].statistic, found[0].splits) == (None, "no common seed", 0)


def test_every_pair_with_holm_over_all_of_them() -> None:
    entries = [entry("a", around(0.7)), entry("b", around(0.8)), entry("c", around(0.805)), entry("d", around(0.9, 4))]
    found = pairwise(entries, "family", TaskTests(True), marks=True)
    assert found is not None
    assert (found.rows, found.family_size, found.no_marks) == (["a", "b", "c", "d"], 6, None)
    square = np.array(found.p, dtype=float)
    assert np.isnan(np.diag(square)).all()
    upper = np.triu_indices(4, 1)
    assert (square[upper] == square.T[upper]).all()
    assert np.array(found.p_holm, dtype=float)[upper].tolist() == holm(square[upper])
    for i, j in zip(*upper, strict=True):
        pair = [entries[j], entries[i]]
        single, _ = compare_with_focus(pair, entries[i].row, "family", TaskTests(True), marks=True)
        assert single[0].p == square[i, j]


def test_pairs_need_two_rows_and_a_protocol_with_significance() -> None:
    assert pairwise([entry("a", around(0.7))], "family", TaskTests(True), marks=True) is None
    found = pairwise([entry("a", around(0.7)), entry("b", around(0.8))], "family", TaskTests(True), marks=False)
    assert found is not None
    assert found.p == [[None, None], [None, None]]
    assert "no significance" in (found.no_marks or "")


def paired_rows() -> list[Entry]:
    """Ten splits that decide most of a score; of "other" the first three seeds, which are the easiest, lack."""
    generator = np.random.default_rng(0)
    splits = 0.8 - 0.02 * np.arange(10)
    focus, other = splits + 0.01 + generator.normal(0, 0.002, 10), splits + generator.normal(0, 0.002, 10)
    rows = [entry("focus", focus.tolist()), entry("other", other.tolist())]
    lost = rows[1].summary
    assert lost
    rows[1].summary = lost.model_copy(
        update={"scores": lost.scores[3:], "seeds": lost.seeds[3:], "identities": lost.identities[3:], "n": 7,
                "mean": float(other[3:].mean())}
    )  # fmt: skip
    return rows


def test_a_paired_comparison_is_of_the_common_seeds_alone() -> None:
    rows = paired_rows()
    ((found,), _) = compare_with_focus(rows, "focus", "family", TaskTests(True, paired=True), marks=True)
    focus, other = rows[0].summary, rows[1].summary
    assert focus
    assert other
    gains = np.array(focus.scores[3:]) - np.array(other.scores)
    assert found.effect == pytest.approx(gains.mean())
    assert found.effect < 0.02 < focus.mean - other.mean  # the seeds that lack would count as a gain
    assert found.interval is not None
    assert found.interval.low <= found.effect <= found.interval.high
    assert (found.n_focus, found.n_other, found.splits) == (7, 7, 2**7)
    assert found.identities_focus == focus.identities[3:]


def test_the_smallest_effect_of_pairs_is_that_of_their_differences() -> None:
    rows, tests = paired_rows(), TaskTests(True, paired=True)
    found, _ = compare_with_focus(rows, "focus", "family", tests, marks=True)
    focus, other = rows[0].summary, rows[1].summary
    assert focus
    assert other
    sd = float(np.std(np.array(focus.scores[3:]) - np.array(other.scores), ddof=1))
    assert smallest_effect_seen(rows, found, tests) == pytest.approx(smallest_paired_effect(sd, 7, 1))


def test_pairs_without_enough_common_seeds_are_said_to_have_few() -> None:
    rows = paired_rows()
    lost = rows[1].summary
    assert lost
    rows[1].summary = lost.model_copy(update={"seeds": list(range(8, 15))})
    said, _ = mark_ties(rows, TaskTests(True, paired=True), marks=True)
    assert said == "too few seeds to separate any method from the best (2); 6 seeds are needed"
