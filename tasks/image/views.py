"""From images to what the encoder reads: the views of an unlabelled batch (ImageMol, pretraining data)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.image.augment import augment
from tasks.image.jigsaw import draw_orders, far_apart, shuffle_tiles
from tasks.settings import ImageSettings

# Channel statistics of ImageNet, with which ImageMol normalises.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def to_unit(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return bytes (b, s, s, 3) as float32 (b, 3, s, s) in [0, 1] on ``device``, in channels-last memory."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div(255)


def normalise(images: Tensor) -> Tensor:
    """Subtract ImageNet's channel means and divide by its standard deviations; channels-last memory."""
    mean = torch.tensor(MEAN, dtype=images.dtype, device=images.device)[:, None, None]
    std = torch.tensor(STD, dtype=images.dtype, device=images.device)[:, None, None]
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def mask_square(images: Tensor, corners: Tensor, side: int) -> Tensor:
    """Fill a square of each image with the image's own mean colour.

    Parameters
    ----------
    images: (b, 3, s, s).
    corners: (b, 2), row and column of the upper left corner; the square is clipped at the border.
    side: of the square, in pixels.
    """
    places = torch.arange(images.shape[-1], device=images.device)
    inside = (places >= corners[:, :, None]) & (places < corners[:, :, None] + side)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(square[:, None], images.mean(dim=(2, 3), keepdim=True), images)


def corpus_views(images: Tensor, settings: ImageSettings, draws: torch.Generator) -> Mapping[str, Tensor]:
    """Make the views that the objectives read. All random numbers come from ``draws`` on the CPU.

    Each image is augmented once; every view is then augmented again by itself, as in ImageMol.

    Parameters
    ----------
    images: (b, 3, s, s), values in [0, 1].

    Returns
    -------
    "jigsaw": (b, 3, s, s), tiles shuffled; "order": (b,) int64, how; "plain": the leading
    ceil(contrastive_share * b) images; "masked": the same with a square filled. Images are normalised.
    """
    base = augment(images, settings, draws)
    order = draw_orders(len(images), settings.permutations + 1, settings.jigsaw_keep, draws).to(images.device)
    table = far_apart(settings.permutations, settings.permutation_seed).to(images.device)
    jigsaw = augment(shuffle_tiles(base, order, table), settings, draws)
    share = math.ceil(settings.contrastive_share * len(images))
    plain = augment(base[:share], settings, draws)
    corners = torch.randint(images.shape[-1], (share, 2), generator=draws).to(images.device)
    masked = mask_square(plain, corners, settings.mask_pixels)
    return {"jigsaw": normalise(jigsaw), "order": order, "plain": normalise(plain), "masked": normalise(masked)}
