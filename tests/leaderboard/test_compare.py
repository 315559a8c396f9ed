"""Marks, ties and effects of one task."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.compare import compare_with_focus, mark_ties, probability_better, smallest_effect_seen
from leaderboard.content import Entry, Summary


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
    found, reason = compare_with_focus(entries, "focus", "family", higher, marks=True)
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
    found, reason = compare_with_focus(entries, "focus", "family", True, marks=True)
    assert reason is not None
    assert reason.startswith("4 seeds allow p >= 0.029, a family of 2 tests")
    assert all(item.mark is None for item in entries)
    assert found[0].p == pytest.approx(2 / 70)


def test_a_protocol_without_significance_has_no_p() -> None:
    entries = [entry("far", around(0.2)), entry("focus", around(0.8))]
    found, reason = compare_with_focus(entries, "focus", "family", True, marks=False)
    assert "no significance" in (reason or "")
    assert (found[0].p, found[0].p_focus_better, found[0].p_holm) == (None, None, None)
    assert found[0].effect == pytest.approx(0.6)
    assert "no significance" in (mark_ties(entries, True, marks=False) or "")
    assert not any(item.tied_with_best or item.mark for item in entries)


def test_unequal_n_is_studentised_and_marked() -> None:
    entries = [entry("short", around(0.7, 4), planned=5), entry("focus", around(0.8))]
    found, _ = compare_with_focus(entries, "focus", "family", True, marks=True)
    assert (found[0].statistic, found[0].incomplete, found[0].n_focus, found[0].n_other) == ("Welch t", True, 5, 4)


def test_a_single_seed_has_no_sd_and_no_mark() -> None:
    entries = [entry("one", [0.7]), entry("focus", [0.8])]
    found, reason = compare_with_focus(entries, "focus", "family", True, marks=True)
    assert found[0].effect_sd is None
    assert found[0].seed_correlation is None
    assert reason is not None
    assert reason.startswith("1 seed allows")


def test_equal_scores_have_no_effect_in_sd() -> None:
    entries = [entry("same", [0.8] * 5), entry("focus", [0.8] * 5)]
    found, _ = compare_with_focus(entries, "focus", "family", True, marks=True)
    assert (found[0].effect_sd, found[0].p, found[0].probability_better) == (None, 1.0, 0.5)


def test_no_focus_and_nobody_to_compare_with() -> None:
    assert compare_with_focus([entry("a", around(0.8))], None, "f", True, True) == ([], "no focus method")
    assert "no record" in (compare_with_focus([entry("a", around(0.8))], "b", "f", True, True)[1] or "")
    assert "no other method" in (compare_with_focus([entry("a", around(0.8))], "a", "f", True, True)[1] or "")


def test_tied_group_is_what_a_test_does_not_separate_from_the_best() -> None:
    entries = [
        entry("best", around(0.9)),
        entry("near", around(0.899)),
        entry("far", around(0.7)),
        entry("one", [0.89]),
    ]
    assert mark_ties(entries, True, marks=True) is None
    # One seed cannot be separated from anything, so it is not called tied.
    assert [item.tied_with_best for item in entries] == [True, True, False, False]
    lower = [item.model_copy(update={"tied_with_best": False}) for item in entries]
    mark_ties(lower, False, marks=True)
    assert [item.tied_with_best for item in lower] == [False, False, True, False]


def test_nothing_is_tied_without_enough_seeds_or_company() -> None:
    three = [entry("a", around(0.9, 3)), entry("b", around(0.1, 3))]
    assert "too few seeds" in (mark_ties(three, True, marks=True) or "")
    assert not any(item.tied_with_best for item in three)
    assert "nothing to compare" in (mark_ties([entry("a", around(0.9))], True, marks=True) or "")


def test_probability_better_counts_ties_half() -> None:
    assert probability_better([1, 2], [2, 3]) == pytest.approx(0.125)


def test_smallest_effect_uses_the_shortest_sample() -> None:
    entries = [entry("a", around(0.7, 5)), entry("focus", around(0.8, 8))]
    found, _ = compare_with_focus(entries, "focus", "family", True, marks=True)
    all_five = [entry("a", around(0.7, 5)), entry("focus", around(0.8, 5))]
    other, _ = compare_with_focus(all_five, "focus", "family", True, marks=True)
    first, second = smallest_effect_seen(all_five, found), smallest_effect_seen(all_five, other)
    assert first == second
    assert first is not None
    assert first > 0
