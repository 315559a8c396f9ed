"""Seeded, endless batches of indices with random access."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from bench.errors import RequestError, nearest
from tasks.labels import LABELLED
from tasks.problem import Batch, BatchStream
from tasks.randomness import generator

Pool = TypeVar("Pool")


def pool_of(sources: Mapping[str, Pool], source: str, purpose: str) -> Pool:
    """Return the unlabelled examples of a source; raises RequestError if there is no such source."""
    if source not in sources:
        known = (*sources, *LABELLED)
        raise RequestError(f"stream {purpose!r}: source {source!r} is not known; {nearest(source, known)}")
    return sources[source]


@dataclass(frozen=True)
class ShuffledStream(BatchStream):
    """Batches cut from an endless row of permutations, one for each epoch.

    Batch k holds places k b .. k b + b - 1 of the row, so all batches are full and each example
    appears once in every epoch, also where an epoch ends inside a batch.

    Parameters
    ----------
    rows: (N,) int64, the examples of the source.
    make: builds a batch from the chosen examples (b,) and a generator for its augmentations.
    """

    rows: Tensor
    seed: int
    purpose: str
    make: Callable[[Tensor, torch.Generator], Batch]

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise RequestError(f"batch_size: expected at least 1, got {self.batch_size}")
        if len(self.rows) == 0:
            raise RequestError(f"stream {self.purpose!r}: expected a source with examples, got an empty one")

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, step: int) -> Tensor:
        """Return the examples of batch ``step``, shape (b,)."""
        size, first = len(self.rows), step * self.batch_size
        places = torch.arange(first, first + self.batch_size)
        epochs = range(first // size, (first + self.batch_size - 1) // size + 1)
        row = torch.cat([_permutation(size, self.seed, self.purpose, epoch) for epoch in epochs])
        return self.rows[row[places - epochs[0] * size]]

    def batch(self, step: int) -> Batch:
        return self.make(self.chosen(step), generator(self.seed, self.purpose, "batch", step))


@lru_cache(maxsize=4)
def _permutation(size: int, seed: int, purpose: str, epoch: int) -> Tensor:
    return torch.randperm(size, generator=generator(seed, purpose, "epoch", epoch))
