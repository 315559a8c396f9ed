"""Names keep apart from each other and from points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.pictures.labels import place
from leaderboard.pictures.layout import Panels, apart

inches = st.floats(0.1, 1.9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_names_keep_apart_and_in_order(heights: list[float], gap: float) -> None:
    moved = np.array(apart(heights, gap, -9, 9))
    order = np.argsort(heights, kind="stable")
    assert (np.diff(moved[order]) >= gap - 1e-9).all()
    assert moved.mean() == pytest.approx(np.mean(heights))
    inside = np.array(apart(heights, gap / 2, 0, 1))
    assert (np.diff(inside[order]) >= gap / 2 - 1e-9).all()
    assert -1e-9 <= inside.min() <= inside.max() <= 1 + 1e-9


def test_names_that_are_apart_stay() -> None:
    assert apart([0.5, 0.1, 0.3], 0.1, 0, 1) == pytest.approx([0.5, 0.1, 0.3])
    assert apart([0.0, 0.0, 0.9], 0.1, 0, 1) == pytest.approx([0.0, 0.1, 0.9])
    assert apart([1.0, 0.99, 0.2], 0.1, 0, 1) == pytest.approx([1.0, 0.9, 0.2])


def test_without_room_the_gap_shrinks() -> None:
    assert apart([0.5, 0.5, 0.5], 0.9, 0, 1) == pytest.approx([0, 0.5, 1])


@given(st.lists(st.tuples(inches, inches), min_size=1, max_size=12, unique=True))
def test_no_label_covers_another_or_a_point(points: list[tuple[float, float]]) -> None:
    width, height = 0.5, 0.1
    found = place(points, dict.fromkeys(range(len(points)), width), height, (2.0, 2.0))
    boxes = {k: (label.x, label.y, label.x + width, label.y + height) for k, label in found.items()}
    for k, box in boxes.items():
        assert min(box[:2]) >= -1e-6
        assert max(box[2:]) <= 2 + 1e-6
        for j, point in enumerate(points):
            if j != k:
                assert not (box[0] < point[0] < box[2] and box[1] < point[1] < box[3])
        for j, other in boxes.items():
            if j > k:
                shared = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
                assert min(shared) < 1e-3
    if len(points) == 1:
        assert found


def test_the_first_names_are_placed_in_any_case_and_far_ones_have_a_leader() -> None:
    crowd = [(1.0 + 0.01 * k, 1.0) for k in range(12)]
    widths = dict.fromkeys(range(12), 1.4)
    assert {0, 1, 2} <= set(place(crowd, widths, 0.3, (2.0, 2.0), forced=3))
    assert len(place(crowd, widths, 0.3, (2.0, 2.0), forced=3)) < 12
    (alone,) = place([(1.0, 1.0)], {0: 0.5}, 0.1, (2.0, 2.0)).values()
    assert alone.leader is None


def test_a_large_panel_takes_four_places() -> None:
    grid = Panels(6, 4, width=1, height=1, left=0, between=0, large=True)
    assert grid.places() == [(0, 0, 2), (0, 2, 1), (0, 3, 1), (1, 2, 1), (1, 3, 1), (2, 0, 1)]
