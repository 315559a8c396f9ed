"""Drawings: the ground, the size, the averaging, and molecules that cannot be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import RequestError
from tasks.image.render import render

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_pixels_are_means_of_blocks() -> None:
    large = render(ASPIRIN, 128, 128).astype(float)
    small = render(ASPIRIN, 128, 64).astype(float)
    assert small.shape == (64, 64, 3)
    blocks = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 1  # Pillow rounds after each axis


def test_sizes_that_do_not_divide_keep_the_mean() -> None:
    large, small = render(ASPIRIN, 100, 100), render(ASPIRIN, 100, 64)
    assert small.shape == (64, 64, 3)
    assert small.mean() == pytest.approx(large.mean(), abs=0.2)


def test_white_ground_and_coloured_elements() -> None:
    image = render(ASPIRIN, 128, 128).astype(int)
    assert (image[0] == 255).all()
    red = (image[..., 0] > 200) & (image[..., 1] < 80) & (image[..., 2] < 80)
    assert red.sum() > 20  # oxygen
    blue = (image[..., 2] > 200) & (image[..., 0] < 80)
    assert blue.sum() == 0
    benzene = render("c1ccccc1", 128, 128)
    assert (benzene[..., 0] == benzene[..., 2]).all()


def test_same_bits_again_and_other_molecules_differ() -> None:
    assert np.array_equal(render(ASPIRIN, 128, 64), render(ASPIRIN, 128, 64))
    assert not np.array_equal(render(ASPIRIN, 128, 64), render("CCO", 128, 64))


def test_unreadable_molecule_is_named() -> None:
    with pytest.raises(RequestError, match=r"got 'C1CC'"):
        render("C1CC", 128, 64)
