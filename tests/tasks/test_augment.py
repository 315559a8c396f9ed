"""Flips, grayscale and rotations against Pillow and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from tasks.image.augment import augment, flip, gray, rotate, rotate_quarters
from tests.tasks.protocol import image_settings


def images(b: int = 6, side: int = 12) -> torch.Tensor:
    return torch.rand((b, 3, side, side), generator=torch.Generator().manual_seed(0))


def test_flip_mirrors_the_chosen_only() -> None:
    x = images(2)
    y = flip(x, torch.tensor([True, False]))
    assert torch.equal(y[0], x[0].flip(-1))
    assert torch.equal(y[1], x[1])


def test_gray_is_the_luma_of_pillow() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(raw).convert("L"), dtype=float)
    x = torch.from_numpy(raw).permute(2, 0, 1)[None].float() / 255
    y = gray(x, torch.tensor([True]))[0] * 255
    assert torch.equal(y[0], y[2])
    assert np.abs(y[1].numpy() - expected).max() <= 1.0


def test_quarter_turns() -> None:
    x = images(5)
    y = rotate_quarters(x, torch.tensor([0, 1, 2, 3, 4]))
    for index, k in enumerate([0, 1, 2, 3, 0]):
        assert torch.equal(y[index], torch.rot90(x[index], k, (1, 2)))


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_any_angle_agrees_with_quarter_turns(fill: float) -> None:
    x = images(4)
    y = rotate(x, torch.tensor([0, 0.5, 1, -0.5]) * math.pi, fill)
    torch.testing.assert_close(y, rotate_quarters(x, torch.tensor([0, 1, 2, 3])), rtol=0, atol=2e-5)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_any_angle_agrees_with_pillow_and_fills_the_corners(fill: float) -> None:
    smooth = torch.nn.functional.interpolate(images(1, 4), size=(32, 32), mode="bicubic").clamp(0, 1)
    turned = rotate(smooth, torch.tensor([math.radians(30)]), fill)[0]
    raw = (smooth[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    ground = (int(255 * fill),) * 3
    expected = np.asarray(Image.fromarray(raw).rotate(30, Image.Resampling.BILINEAR, fillcolor=ground)) / 255
    inner = slice(8, 24)
    got = turned.permute(1, 2, 0).numpy()
    assert np.abs(got[inner, inner] - expected[inner, inner]).max() < 0.02
    assert np.allclose(got[0, 0], fill, atol=1e-6)


@pytest.mark.parametrize("rotation", ["right-angles", "any"])
def test_same_generator_same_bits(rotation: str) -> None:
    settings = image_settings(rotation=rotation)
    x = images(16)
    one, same, other = (augment(x, settings, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_shares_of_flips_grays_and_turns() -> None:
    x = images(1).expand(4000, 3, 12, 12)
    variants = {
        (flipped, grayed, turn): rotate_quarters(
            gray(flip(x[:1], torch.tensor([flipped])), torch.tensor([grayed])), torch.tensor([turn])
        )[0]
        for flipped in (False, True)
        for grayed in (False, True)
        for turn in range(4)
    }
    y = augment(x, image_settings(), torch.Generator().manual_seed(0))
    counts = {key: int((y == variant).all(dim=(1, 2, 3)).sum()) for key, variant in variants.items()}
    assert sum(counts.values()) == 4000  # nothing else comes out
    for (_, grayed, _), count in counts.items():
        assert count / 4000 == pytest.approx(0.5 * (0.2 if grayed else 0.8) / 4, abs=0.02)


def test_without_flips_and_grays_only_turns_remain() -> None:
    x = images()
    settings = image_settings(flip=0, gray=0)
    y = augment(x, settings, torch.Generator().manual_seed(0))
    for before, after in zip(x, y, strict=True):
        assert sum(torch.equal(torch.rot90(before, k, (1, 2)), after) for k in range(4)) == 1
