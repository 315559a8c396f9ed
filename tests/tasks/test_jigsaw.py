"""The permutations and the tiles of the jigsaw objective."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from tasks.image.jigsaw import draw_orders, far_apart, shuffle_tiles


def test_permutations_are_distinct_and_not_the_identity() -> None:
    table = far_apart(100, 0)
    rows = {tuple(row) for row in table.tolist()}
    assert len(rows) == 100
    assert tuple(range(9)) not in rows
    assert all(sorted(row) == list(range(9)) for row in rows)


def test_each_choice_maximises_the_mean_hamming_distance() -> None:
    table = far_apart(100, 0).numpy()
    every = np.array(list(itertools.permutations(range(9))))[1:]
    for step in (1, 2, 3, 10, 57, 99):
        # A second implementation: how often each tile stands at each place so far.
        agreements = np.zeros((9, 9))
        for row in table[:step]:
            agreements[np.arange(9), row] += 1
        mean = 9 - agreements[np.arange(9), every].sum(axis=1) / step
        chosen = 9 - agreements[np.arange(9), table[step]].sum() / step
        assert chosen == pytest.approx(mean.max())


def test_seed_decides() -> None:
    assert torch.equal(far_apart(10, 3), far_apart(10, 3))
    assert not torch.equal(far_apart(10, 3), far_apart(10, 4))


def test_order_zero_has_its_frequency() -> None:
    orders = draw_orders(40_000, 101, 0.8, torch.Generator().manual_seed(0))
    assert (orders == 0).float().mean().item() == pytest.approx(0.8 + 0.2 / 101, abs=0.006)  # three sigma
    others = torch.bincount(orders, minlength=101)[1:]
    assert len(others) == 100
    assert others.min() > 40  # 79 expected


@pytest.mark.parametrize("side", [9, 64, 224])
def test_tiles_go_where_the_permutation_says(side: int) -> None:
    tile = side // 3
    table = far_apart(5, 1)
    images = torch.rand((3, 3, side, side), generator=torch.Generator().manual_seed(0))
    shuffled = shuffle_tiles(images, torch.tensor([0, 2, 5]), table)
    assert shuffled.shape == images.shape
    for index, permutation in enumerate([list(range(9)), table[1].tolist(), table[4].tolist()]):
        for place, source in enumerate(permutation):
            row, column = divmod(place, 3)
            from_row, from_column = divmod(source, 3)
            got = shuffled[index, :, row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            want = images[
                index, :, from_row * tile : (from_row + 1) * tile, from_column * tile : (from_column + 1) * tile
            ]
            assert torch.equal(got, want)
    assert bool((shuffled[:, :, 3 * tile :] == 1).all())
    assert bool((shuffled[:, :, :, 3 * tile :] == 1).all())
