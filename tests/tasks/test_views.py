"""The views of an unlabelled batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.image.views import MEAN, STD, corpus_views, mask_square, normalise, to_unit
from tests.tasks.protocol import image_settings


def images(b: int = 7, side: int = 16) -> torch.Tensor:
    return torch.rand((b, 3, side, side), generator=torch.Generator().manual_seed(0))


def restore(views: torch.Tensor) -> torch.Tensor:
    return views * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def test_bytes_become_channels_first_in_the_unit_interval() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    x = to_unit(raw, torch.device("cpu"))
    assert x.shape == (2, 3, 5, 5)
    assert x[1, 2, 3, 4].item() == pytest.approx(raw[1, 3, 4, 2] / 255)


def test_normalise_is_the_textbook_formula() -> None:
    x = images(2)
    y = normalise(x)
    assert y[1, 2, 3, 4].item() == pytest.approx((x[1, 2, 3, 4].item() - 0.406) / 0.225, rel=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_mask_is_a_clipped_square_of_the_image_mean() -> None:
    x = images(3)
    corners = [(2, 3), (13, 15), (0, 0)]
    y = mask_square(x, torch.tensor(corners), 5)
    for image, masked, (row, column) in zip(x, y, corners, strict=True):
        expected = image.clone()
        expected[:, row : row + 5, column : column + 5] = image.mean(dim=(1, 2))[:, None, None]
        torch.testing.assert_close(masked, expected, rtol=0, atol=1e-6)


def test_masked_differs_from_plain_in_one_square_only() -> None:
    settings = image_settings(pixels=16, contrastive_share=1)
    views = corpus_views(images(200, 16), settings, torch.Generator().manual_seed(0))
    changed = (restore(views["plain"]) - restore(views["masked"])).abs().amax(dim=1) > 1e-6
    areas, corners = [], []
    for one in changed:
        rows, columns = one.any(dim=1).nonzero().flatten(), one.any(dim=0).nonzero().flatten()
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert height <= 5
        assert width <= 5
        areas.append(height * width)
        corners += [int(rows[0]), int(columns[0])]
    assert max(areas) == 25
    assert min(areas) < 25  # some are clipped
    assert set(corners) == set(range(16))  # uniform on the whole grid


@pytest.mark.parametrize(("b", "share", "expected"), [(8, 0.25, 2), (7, 0.25, 2), (1, 0.25, 1), (5, 1.0, 5)])
def test_share_of_the_contrastive_views(b: int, share: float, expected: int) -> None:
    views = corpus_views(images(b), image_settings(pixels=16, contrastive_share=share), torch.Generator())
    assert views["jigsaw"].shape == (b, 3, 16, 16)
    assert views["order"].shape == (b,)
    assert views["plain"].shape == views["masked"].shape == (expected, 3, 16, 16)


def test_views_are_the_leading_images_turned() -> None:
    x = images(8, 18)  # a multiple of three: no border to fill
    settings = image_settings(pixels=18, gray=0, jigsaw_keep=1)
    views = corpus_views(x, settings, torch.Generator().manual_seed(0))
    assert views["order"].tolist() == [0] * 8
    moves = [(k, mirrored) for k in range(4) for mirrored in (False, True)]
    for name, count in (("jigsaw", 8), ("plain", 2)):
        for index in range(count):
            view = restore(views[name])[index]
            turned = [torch.rot90(x[index].flip(-1) if mirrored else x[index], k, (1, 2)) for k, mirrored in moves]
            assert sum(torch.allclose(view, other, atol=1e-6) for other in turned) == 1


def test_same_generator_same_bits() -> None:
    settings = image_settings(pixels=16)
    one, same, other = (corpus_views(images(), settings, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["jigsaw"], other["jigsaw"])
