"""Holm's correction: hand values and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from leaderboard.statistics.holm import holm

FAMILIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        ([0.03, 0.04, 0.045], [0.09, 0.09, 0.09]),
        ([0.03, 0.01, 0.02], [0.04, 0.03, 0.04]),
        ([0.2], [0.2]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([], []),
    ],
)
def test_hand_values(raw: list[float], corrected: list[float]) -> None:
    assert holm(raw) == pytest.approx(corrected)


@given(FAMILIES, st.randoms())
def test_order_does_not_matter(raw: list[float], random: object) -> None:
    order = list(range(len(raw)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert holm([raw[i] for i in order]) == pytest.approx([holm(raw)[i] for i in order])


@given(FAMILIES, st.data())
def test_monotone_in_every_p(raw: list[float], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(raw) - 1))
    raised = list(raw)
    raised[place] = data.draw(st.floats(raw[place], 1))
    assert (np.array(holm(raised)) >= np.array(holm(raw)) - 1e-15).all()


@given(FAMILIES)
def test_keeps_order_and_lies_between_raw_and_bonferroni(raw: list[float]) -> None:
    corrected = np.array(holm(raw))
    assert (np.diff(corrected[np.argsort(raw, kind="stable")]) >= 0).all()
    assert (corrected >= np.array(raw)).all()
    assert (corrected <= np.minimum(np.array(raw) * len(raw), 1) + 1e-15).all()


@given(FAMILIES)
def test_agrees_with_statsmodels(raw: list[float]) -> None:
    assert holm(raw) == pytest.approx(multipletests(raw, method="holm")[1].tolist())
