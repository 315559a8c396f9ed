"""The share of error removed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.statistics.scale import error_removed


def test_hand_values() -> None:
    assert error_removed([0.8, 0.9, 1.0, 0.7], 0.8, higher_is_better=True) == pytest.approx([0.0, 0.5, 1.0, -0.5])
    assert error_removed([2.0, 1.0, 0.0, 3.0], 2.0, higher_is_better=False) == pytest.approx([0.0, 0.5, 1.0, -0.5])
    assert error_removed(-0.5, -0.5, higher_is_better=True) == 0.0  # a correlation below zero


def test_an_error_and_the_score_that_it_leaves_agree() -> None:
    errors = np.random.default_rng(0).uniform(0.1, 0.9, (3, 4))
    turned = error_removed(1 - errors, 0.6, higher_is_better=True)
    assert error_removed(errors, 0.4, higher_is_better=False) == pytest.approx(turned)


def test_the_mean_of_shares_is_the_share_of_the_mean() -> None:
    scores = np.random.default_rng(1).uniform(0.5, 0.9, 7)
    for higher in (True, False):
        shares = error_removed(scores, 0.7, higher_is_better=higher)
        assert shares.mean() == pytest.approx(error_removed(scores.mean(), 0.7, higher_is_better=higher))


@pytest.mark.parametrize(("reference", "higher"), [(1.0, True), (1.2, True), (0.0, False), (-1.0, False)])
def test_a_baseline_without_error_is_refused(reference: float, higher: bool) -> None:
    with pytest.raises(ValueError, match=f"leaves an error to remove .*{reference}"):
        error_removed([0.5], reference, higher_is_better=higher)
