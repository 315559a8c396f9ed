"""Random flips, grayscale and rotations of a batch of images (ImageMol, augmentation of images)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tasks.settings import ImageSettings

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's grayscale


def augment(images: Tensor, settings: ImageSettings, draws: torch.Generator) -> Tensor:
    """Flip, gray and rotate each image by itself.

    The numbers are drawn on the CPU from ``draws`` and then moved, so all devices see the same ones.

    Parameters
    ----------
    images: (b, 3, s, s), values in [0, 1], on any device.
    """
    b = len(images)
    flipped = torch.rand(b, generator=draws) < settings.flip
    grayed = torch.rand(b, generator=draws) < settings.gray
    turn = torch.rand(b, generator=draws)
    images = flip(images, flipped.to(images.device))
    images = gray(images, grayed.to(images.device))
    if settings.rotation == "right-angles":
        return rotate_quarters(images, (4 * turn).long())
    # ImageMol draws from the whole range -360 to 360 degrees.
    return rotate(images, ((2 * turn - 1) * 2 * math.pi).to(images.device), 1.0 if settings.fill == "white" else 0.0)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the ``chosen`` (b,) images left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def gray(images: Tensor, chosen: Tensor) -> Tensor:
    """Replace all channels of the ``chosen`` (b,) images by their luma."""
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)
    luma = (images * weights[:, None, None]).sum(dim=1, keepdim=True)
    return torch.where(chosen[:, None, None, None], luma, images)


def rotate_quarters(images: Tensor, quarters: Tensor) -> Tensor:
    """Turn each image counterclockwise by ``quarters`` (b,) right angles; ``quarters`` lies on the CPU."""
    out = images.clone()
    for k in (1, 2, 3):
        rows = (quarters % 4 == k).nonzero().squeeze(1).to(images.device)
        out[rows] = torch.rot90(images[rows], k, dims=(2, 3))
    return out


def rotate(images: Tensor, angles: Tensor, fill: float) -> Tensor:
    """Turn each image counterclockwise by ``angles`` (b,) in radians about its centre, bilinearly.

    Corners that come from outside the image get the value ``fill``.
    """
    cosine, sine = angles.cos(), angles.sin()
    zero = torch.zeros_like(angles)
    # Maps a place of the result to the place of the source; the vertical axis points down.
    matrix = torch.stack(
        [torch.stack([cosine, -sine, zero], dim=1), torch.stack([sine, cosine, zero], dim=1)], dim=1
    ).to(images.dtype)
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    # Sampling pads with zeros, so the fill is made zero first.
    return torch.nn.functional.grid_sample(images - fill, grid, align_corners=False) + fill
