"""The jigsaw objective's permutations and the shuffling of tiles (ImageMol, jigsaw puzzle prediction)."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor

from tasks.randomness import generator

GRID = 3  # tiles a side
TILES = GRID * GRID


@lru_cache(maxsize=4)
def far_apart(count: int, seed: int) -> Tensor:
    """Return ``count`` permutations of the nine tiles that lie far apart, shape (count, 9), int64.

    The first is drawn at random. Each later one has the largest mean Hamming distance to all before it
    among all permutations except the identity, which stands for "unshuffled"; ties are broken at random.
    """
    draws = generator(seed, "jigsaw permutations")
    candidates = torch.tensor(list(permutations(range(TILES))), dtype=torch.int8)
    distance = torch.zeros(len(candidates), dtype=torch.int64)
    distance[0] = -1  # the identity comes first and is never the farthest
    chosen = int(torch.randint(1, len(candidates), (), generator=draws))
    order = [chosen]
    while len(order) < count:
        apart = (candidates != candidates[chosen]).sum(dim=1)
        distance[1:] += apart[1:]
        distance[chosen] = -1
        farthest = (distance == distance.max()).nonzero().squeeze(1)
        chosen = int(farthest[int(torch.randint(len(farthest), (), generator=draws))])
        order.append(chosen)
    return candidates[order].long()


def draw_orders(count: int, classes: int, keep: float, draws: torch.Generator) -> Tensor:
    """Return the order of each image, (count,) int64: uniform on 0 .. classes - 1, then 0 with probability ``keep``."""
    uniform = torch.randint(classes, (count,), generator=draws)
    kept = torch.rand(count, generator=draws) < keep
    return uniform.masked_fill(kept, 0)


def shuffle_tiles(images: Tensor, orders: Tensor, table: Tensor) -> Tensor:
    """Cut images (b, 3, s, s) into 3x3 tiles and put tile ``table[k - 1][t]`` at place t, row by row, for order k.

    Order 0 leaves the tiles where they are. The side of a tile is s // 3; where three tiles do not fill
    the image, the rest of its right and lower border turns white for every order, so that it tells
    nothing. (ImageMol resizes 224 to 222 and back instead, which blurs.)
    """
    b, c, side, _ = images.shape
    tile = side // GRID
    inner = tile * GRID
    tiles = images[:, :, :inner, :inner].reshape(b, c, GRID, tile, GRID, tile)
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).reshape(b, TILES, c, tile, tile)
    identity = torch.arange(TILES, device=table.device)
    source = torch.cat([identity[None], table])[orders]
    tiles = tiles[torch.arange(b, device=images.device)[:, None], source]
    tiles = tiles.reshape(b, GRID, GRID, c, tile, tile).permute(0, 3, 1, 4, 2, 5).reshape(b, c, inner, inner)
    return torch.nn.functional.pad(tiles, (0, side - inner, 0, side - inner), value=1.0)
