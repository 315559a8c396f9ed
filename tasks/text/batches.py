"""From tokens to padded batches, and streams whose batches hold texts of about one length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.problem import Batch
from tasks.randomness import generator
from tasks.stream import ShuffledStream
from tasks.text.masking import halves, mask_tokens
from tasks.text.tokenizer import Tokenizer
from tasks.text.tokens import Tokens

MULTIPLE = 8  # padded lengths are multiples of it
POOL = 50  # batches that are sorted by length together
POOLS = 4  # of an epoch at least, so that small sources do not meet in the same batches again and again
SINGLE = 2  # special tokens of <s> a </s>
IGNORED = -100  # order of a sentence that has none; left out of the loss

Row = NDArray[np.int64]


@dataclass(frozen=True)
class BucketedStream(ShuffledStream):
    """A shuffled stream that cuts each epoch into batches of examples of about one length.

    The whole batches of an epoch are made thus: permute, cut into pools, sort each pool by length, cut it
    into batches, permute the batches. A batch in which an epoch ends holds examples of any length. As
    before, batch k is a function of (seed, purpose, k) alone, all batches are full, and each example
    appears once in every epoch.

    Parameters
    ----------
    lengths: (N,), of the examples by their place in ``rows``.
    """

    lengths: Tensor
    _orders: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def chosen(self, step: int) -> Tensor:
        """Return the examples of batch ``step``, shape (b,)."""
        size, first = len(self.rows), step * self.batch_size
        places = torch.arange(first, first + self.batch_size)
        epochs = range(first // size, (first + self.batch_size - 1) // size + 1)
        row = torch.cat([self._order(epoch) for epoch in epochs])
        return self.rows[row[places - epochs[0] * size]]

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            if len(self._orders) >= 4:
                self._orders.clear()
            self._orders[epoch] = self._ordered(epoch)
        return self._orders[epoch]

    def _ordered(self, epoch: int) -> Tensor:
        size, b = len(self.rows), self.batch_size
        shuffled = torch.randperm(size, generator=generator(self.seed, self.purpose, "epoch", epoch))
        head = min(-epoch * size % b, size)  # they fill the last batch of the epoch before
        whole = (size - head) // b
        body = shuffled[head : head + whole * b]
        pool = b * max(1, min(POOL, math.ceil(whole / POOLS)))
        sorted_pools = [part[self.lengths[part].argsort(stable=True)] for part in body.split(pool)] if whole else [body]
        order = torch.randperm(whole, generator=generator(self.seed, self.purpose, "batches", epoch))
        batches = torch.cat(sorted_pools).view(whole, b)[order].flatten()
        return torch.cat([shuffled[:head], batches, shuffled[head + whole * b :]])


@dataclass(frozen=True)
class Framing:
    """How token sequences become what the encoder reads: special tokens, cutting and padding.

    Parameters
    ----------
    limit: tokens of an example, special ones included; longer ones are cut at the end, the longer text of
        a pair first.
    """

    tokenizer: Tokenizer
    limit: int

    @property
    def room(self) -> int:
        """Tokens of a pair that are no special ones."""
        return self.limit - SINGLE - self.tokenizer.separators

    def single(self, ids: Row) -> Row:
        """Return <s> a </s>."""
        first, last = self.tokenizer.first, self.tokenizer.last
        return np.concatenate([[first], ids[: self.limit - SINGLE], [last]])

    def pair(self, a: Row, b: Row) -> Row:
        """Return <s> a </s></s> b </s>, or with as many separators as the tokenizer has."""
        first, last, room = self.tokenizer.first, self.tokenizer.last, self.room
        shorter = min(len(a), len(b), room // 2)
        kept = (a[: room - shorter], b[:shorter]) if len(a) > len(b) else (a[:shorter], b[: room - shorter])
        return np.concatenate([[first], kept[0], [last] * self.tokenizer.separators, kept[1], [last]])

    def pad(self, rows: Sequence[Row]) -> Tensor:
        """Return the rows as (b, l), l the longest of them rounded up to a multiple of 8 but not above the limit."""
        longest = max(len(row) for row in rows)
        length = max(longest, min(MULTIPLE * math.ceil(longest / MULTIPLE), self.limit))
        padded = np.full((len(rows), length), self.tokenizer.pad, dtype=np.int64)
        for place, row in enumerate(rows):
            padded[place, : len(row)] = row
        return torch.from_numpy(padded)


def unlabelled_batch(tokens: Tokens, rows: Tensor, framing: Framing, share: float, draws: torch.Generator) -> Batch:
    """Return the views of sentences that the objectives read, all of one padded length l.

    Sentences are cut so that also the view in two halves fits: it has the most special tokens.

    Returns
    -------
    ``plain``, ``masked`` and ``halves``, (b, l) each; ``predicted``, (m,), places in the flattened ``masked``,
    and ``targets``, (m,), the tokens that stood there; ``order``, (b,): 1 if the halves are in order, 0 if
    they are swapped, IGNORED for sentences of fewer than two tokens.
    """
    ids = [tokens[row][: framing.room] for row in rows.tolist()]
    divisible = torch.tensor([len(row) > 1 for row in ids])
    drawn = torch.randint(4, (len(ids),), generator=draws)  # two bits each
    swapped, later = (drawn % 2).bool() & divisible, (drawn // 2).bool()
    parted = [framing.pair(*halves(*row)) for row in zip(ids, swapped.tolist(), later.tolist(), strict=True)]
    plain, split = framing.pad([*map(framing.single, ids), *parted]).chunk(2)
    masked, predicted = mask_tokens(plain, framing.tokenizer, share, draws)
    order = torch.where(divisible, (~swapped).long(), IGNORED)
    targets = plain.flatten()[predicted]
    return {
        "plain": plain, "masked": masked, "halves": split, "predicted": predicted, "targets": targets, "order": order,
    }  # fmt: skip


def labelled_rows(first: Tokens, second: Tokens | None, rows: Tensor, framing: Framing) -> Tensor:
    """Return the padded tokens (b, l) of labelled examples: texts, or pairs of texts."""
    if second is None:
        return framing.pad([framing.single(first[row]) for row in rows.tolist()])
    return framing.pad([framing.pair(first[row], second[row]) for row in rows.tolist()])
