"""Padding, cutting, views, and streams in buckets of length."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.problem import Batch
from tasks.randomness import generator
from tasks.text.batches import IGNORED, BucketedStream, Framing, labelled_rows, unlabelled_batch
from tasks.text.masking import halves, mask_tokens
from tasks.text.tokens import tokenise
from tests.tasks.text.small import sentences, tokenizer

FRAMING = Framing(tokenizer(), 24)


def numbers(size: int, start: int = 10) -> np.ndarray:
    return np.arange(start, start + size)


# --- framing


def test_frames_equal_those_of_the_library() -> None:
    backend, (one, other) = tokenizer().backend, tokenizer().encode(["the old king", "a river near the city"])
    wide = Framing(tokenizer(), 64)
    assert wide.single(np.array(one)).tolist() == backend.encode("the old king").ids
    assert (
        wide.pair(np.array(one), np.array(other)).tolist()
        == backend.encode("the old king", "a river near the city").ids
    )


@pytest.mark.parametrize(("a", "b"), [(30, 30), (30, 5), (5, 30), (15, 12), (0, 40), (11, 9), (10, 10), (40, 0)])
def test_long_pairs_are_cut_the_longer_one_first(a: int, b: int) -> None:
    row = FRAMING.pair(numbers(a, 10), numbers(b, 100))
    first, second = int(((row >= 10) & (row < 100)).sum()), int((row >= 100).sum())
    assert len(row) == min(a + b + 4, 24)
    assert row[1 : 1 + first].tolist() == list(range(10, 10 + first))  # from the start
    assert row[3 + first : -1].tolist() == list(range(100, 100 + second))
    kept = a + b
    while kept > 20:  # the definition: one token after the other, from the longer one
        a, b = (a - 1, b) if a > b else (a, b - 1)
        kept -= 1
    assert {first, second} == {a, b}


def test_texts_are_cut_and_padded_to_the_longest() -> None:
    assert FRAMING.single(numbers(100)).tolist() == [0, *range(10, 32), 2]
    assert FRAMING.single(numbers(0)).tolist() == [0, 2]  # an empty text
    for longest, length in ((3, 8), (8, 8), (9, 16), (17, 24), (24, 24)):
        padded = FRAMING.pad([numbers(2), numbers(longest)])
        assert padded.shape == (2, length)
        assert padded[0].tolist() == [10, 11] + [1] * (length - 2)
    assert Framing(tokenizer(), 20).pad([numbers(18)]).shape == (1, 20)  # never above the limit


def test_labelled_rows_are_texts_or_pairs() -> None:
    first, second = (tokenise(tokenizer(), sentences(6, seed)) for seed in (0, 1))
    rows, wide = torch.tensor([4, 1]), Framing(tokenizer(), 200)
    single, pair = labelled_rows(first, None, rows, wide), labelled_rows(first, second, rows, wide)
    for place, row in enumerate(rows.tolist()):
        a, b = first[row].tolist(), second[row].tolist()
        assert single[place][single[place] != 1].tolist() == [0, *a, 2]
        assert pair[place][pair[place] != 1].tolist() == [0, *a, 2, 2, *b, 2]


# --- views


def views(texts: tuple[str, ...], step: int = 0, share: float = 0.15, limit: int = 64) -> Batch:
    tokens = tokenise(tokenizer(), texts)
    return unlabelled_batch(
        tokens, torch.arange(len(texts)), Framing(tokenizer(), limit), share, generator(0, "views", step)
    )


def parts_of(batch: Batch, row: int) -> tuple[list[int], list[int]]:
    """The tokens of the two halves that a sentence's view holds, in the order of the view."""
    parts = batch["halves"][row][batch["halves"][row] != 1].tolist()
    middle = parts.index(2)
    return parts[1:middle], parts[middle + 2 : -1]


def test_split_order_keeps_all_tokens() -> None:
    texts = (*sentences(60), "", "a")
    ids, batch, orders = tokenizer().encode(texts), views(texts, limit=200), []
    for row, sentence in enumerate(ids):
        one, other = parts_of(batch, row)
        order = int(batch["order"][row])
        assert (other + one if order == 0 else one + other) == sentence
        assert abs(len(one) - len(other)) <= 1
        assert (order == IGNORED) == (len(sentence) < 2)
        orders.append(order)
    assert orders.count(0) > 15
    assert orders.count(1) > 15
    assert not torch.equal(views(texts, step=1)["order"], batch["order"])  # drawn anew with each batch


def test_lengths_of_halves_do_not_tell_their_order() -> None:
    text = next(text for text in sentences(60) if len(tokenizer().encode((text,))[0]) % 2)
    batch, counts = views((text,) * 400), Counter[tuple[int, bool]]()
    for row in range(400):
        one, other = parts_of(batch, row)
        counts[int(batch["order"][row]), len(one) > len(other)] += 1
    assert len(counts) == 4
    assert min(counts.values()) > 70  # of 100 expected each


@pytest.mark.parametrize(
    ("swap", "later", "expected"),
    [
        (False, False, [[10, 11, 12], [13, 14]]),
        (True, False, [[13, 14], [10, 11, 12]]),
        (False, True, [[10, 11], [12, 13, 14]]),
        (True, True, [[12, 13, 14], [10, 11]]),
    ],
)
def test_halves(swap: bool, later: bool, expected: list[list[int]]) -> None:
    assert [half.tolist() for half in halves(numbers(5), swap, later)] == expected
    even = [[10, 11], [12, 13]]
    assert [half.tolist() for half in halves(numbers(4), swap, later)] == (even[::-1] if swap else even)


def test_long_sentences_are_cut_alike_in_all_views() -> None:
    batch = views(("the old king " * 30,), limit=24)
    assert batch["plain"].shape == batch["masked"].shape == batch["halves"].shape == (1, 24)
    special = torch.tensor(tokenizer().special)
    plain, split = (batch[name][0][~torch.isin(batch[name][0], special)] for name in ("plain", "halves"))
    assert len(plain) == 20
    assert sorted(plain.tolist()) == sorted(split.tolist())


def test_masking_has_bert_s_shares() -> None:
    made, special = tokenizer(), torch.tensor(tokenizer().special)
    tokens = torch.full((200, 100), 50)
    tokens[:, 0], tokens[:, -1], tokens[:, -2] = made.first, made.pad, made.last
    corrupted, predicted = mask_tokens(tokens, made, 0.15, generator(0, "mask"))
    assert torch.equal(predicted, predicted.unique())
    chosen = torch.zeros(tokens.numel(), dtype=torch.bool)
    chosen[predicted] = True
    assert not torch.isin(tokens.flatten()[predicted], special).any()
    assert torch.equal(corrupted.flatten()[~chosen], tokens.flatten()[~chosen])
    assert len(predicted) / (200 * 97) == pytest.approx(0.15, abs=0.01)
    seen = corrupted.flatten()[predicted]
    assert (seen == made.mask).float().mean().item() == pytest.approx(0.8, abs=0.03)
    replaced = seen[(seen != made.mask) & (seen != 50)]
    assert len(replaced) / len(seen) == pytest.approx(0.1, abs=0.03)
    assert not torch.isin(replaced, special).any()
    assert len(replaced.unique()) > 100


def test_masks_are_drawn_anew_and_targets_stood_there() -> None:
    texts = sentences(20)
    one, other = views(texts), views(texts, step=1)
    assert torch.equal(one["plain"], other["plain"])
    assert not torch.equal(one["masked"], other["masked"])
    assert torch.equal(one["plain"].flatten()[one["predicted"]], one["targets"])
    nothing = views(("", "")), views(texts, share=1e-9)
    assert all(len(batch["predicted"]) == len(batch["targets"]) == 0 for batch in nothing)


# --- streams


def stream(size: int, batch: int, purpose: str = "p", seed: int = 0) -> BucketedStream:
    lengths = torch.randint(1, 60, (size,), generator=generator(5, "lengths"))

    def make(chosen: Tensor, _: torch.Generator) -> Batch:
        return {"rows": chosen}

    return BucketedStream(batch, torch.arange(size), seed, purpose, make, lengths)


@pytest.mark.parametrize(("size", "batch"), [(32, 1), (32, 7), (32, 32), (32, 50), (3, 8), (1, 4), (203, 16), (64, 16)])
def test_each_epoch_holds_each_example_once(size: int, batch: int) -> None:
    made, count = stream(size, batch), 4 * size // batch + 1
    row = torch.cat([made.chosen(step) for step in range(count)])
    assert len(row) == count * batch
    epochs = [row[start : start + size].tolist() for start in range(0, 4 * size, size)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == (4 if size > 3 else len({tuple(e) for e in epochs}))


def test_batches_have_random_access() -> None:
    in_order = [stream(203, 16).batch(step)["rows"] for step in range(60)]
    other = stream(203, 16)
    for step in (59, 0, 13, 12, 40, 3):
        assert torch.equal(other.batch(step)["rows"], in_order[step])
    assert not torch.equal(stream(203, 16, purpose="q").batch(0)["rows"], in_order[0])
    assert not torch.equal(stream(203, 16, seed=1).batch(0)["rows"], in_order[0])


def test_buckets_save_padding_and_come_in_any_order() -> None:
    made = stream(4000, 16)
    lengths = [made.lengths[made.chosen(step)] for step in range(250)]
    padding = sum(int((one.max() - one).sum()) for one in lengths) / sum(int(one.sum()) for one in lengths)
    assert padding < 0.05  # at random 0.85
    means = torch.tensor([one.float().mean() for one in lengths])
    assert abs(torch.corrcoef(torch.stack([means, torch.arange(250.0)]))[0, 1]) < 0.2


def test_small_sources_meet_in_other_batches_in_each_epoch() -> None:
    made = stream(200, 10)
    epochs = [{frozenset(made.chosen(step).tolist()) for step in range(20 * k, 20 * k + 20)} for k in range(3)]
    assert not epochs[0] & epochs[1]
    assert not epochs[1] & epochs[2]
