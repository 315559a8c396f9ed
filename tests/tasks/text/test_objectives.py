"""Each objective against an answer that is known, or computed another way."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tasks.randomness import generator
from tasks.text.batches import IGNORED
from tasks.text.objectives import ClassificationHead, MaskedLMHead, Projection, contrastive, masked_lm, split_order

WIDTH, VOCABULARY = 6, 11


def head(embedding: int = WIDTH) -> MaskedLMHead:
    made = MaskedLMHead(WIDTH, embedding, VOCABULARY, 1e-5, generator(0, "head")).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator(1, "bias"), dtype=torch.float64)
    return made


def states(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(2, "states"), dtype=torch.float64)


# --- masked LM


@pytest.mark.parametrize("embedding", [WIDTH, 4])  # the decoder is tied to embeddings of any width
def test_masked_lm_equals_a_loop_over_all_positions(embedding: int) -> None:
    made, words, hidden = head(embedding), states(VOCABULARY, embedding), states(3, 5, WIDTH)
    places = [(0, 1), (0, 4), (2, 0), (2, 3)]
    targets = torch.tensor([3, 10, 0, 3])
    found = masked_lm(made, words, hidden, torch.tensor([5 * row + column for row, column in places]), targets)
    everywhere = made(hidden, words).log_softmax(dim=-1)  # the full computation, (3, 5, vocabulary)
    expected = -sum(everywhere[row, column, target] for (row, column), target in zip(places, targets, strict=True)) / 4
    torch.testing.assert_close(found, expected)


def test_the_head_is_roberta_s() -> None:
    made, words, one = head(), states(VOCABULARY, WIDTH), states(WIDTH)
    x = one @ made.dense.weight.T + made.dense.bias
    x = 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    x = (x - x.mean()) / torch.sqrt(x.var(correction=0) + 1e-5) * made.layer_norm.weight + made.layer_norm.bias
    torch.testing.assert_close(made(one[None], words)[0], words @ x + made.bias)
    assert set(made.state_dict()) == {"dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "bias"}


def test_nothing_masked_gives_no_loss_and_no_gradient() -> None:
    made, words, hidden = head(), states(VOCABULARY, WIDTH).requires_grad_(), states(3, 5, WIDTH).requires_grad_()
    nothing = torch.empty(0, dtype=torch.long)
    loss = masked_lm(made, words, hidden, nothing, nothing)
    gradients = torch.autograd.grad(loss, [hidden, words, *made.parameters()])
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients)  # NaN would count


# --- contrastive


def test_contrastive_by_hand() -> None:
    one = torch.tensor([[2.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    other = torch.tensor([[1.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
    half = 1 / math.sqrt(2)  # cosines: (half, 0) and (half, 1)
    rows = [math.log(math.exp(half / 0.5) + 1) - half / 0.5, math.log(math.exp(half / 0.5) + math.exp(2)) - 2]
    assert contrastive(one, other, 0.5).item() == pytest.approx(sum(rows) / 2, rel=1e-12)


def test_contrastive_sees_directions_alone_and_the_second_passes_of_others() -> None:
    one, other = states(2, 4, 6)
    base = contrastive(one, other, 0.05)
    torch.testing.assert_close(contrastive(3 * one, 0.2 * other, 0.05), base)
    assert not torch.isclose(contrastive(other, one, 0.05), base)  # not symmetrised
    assert contrastive(one, one, 0.05) < contrastive(one, one.roll(1, 0), 0.05)


def test_the_projection_is_a_tanh_layer() -> None:
    made, one = Projection(WIDTH, generator(0, "p")).double(), states(2, WIDTH)
    torch.testing.assert_close(made(one), torch.tanh(one @ made.dense.weight.T))


# --- split-order


def test_split_order_leaves_out_sentences_without_halves() -> None:
    logits = states(5, 2)
    order = torch.tensor([1, IGNORED, 0, 1, IGNORED])
    kept = [0, 2, 3]
    expected = functional.cross_entropy(logits[kept], order[kept])
    torch.testing.assert_close(split_order(logits, order), expected)
    nothing = logits.requires_grad_()
    loss = split_order(nothing, torch.full((5,), IGNORED))
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, nothing)[0].any()


def test_the_classification_head_is_roberta_s() -> None:
    made, one = ClassificationHead(WIDTH, 2, 0.5, generator(0, "c")).double().eval(), states(3, WIDTH)
    torch.testing.assert_close(made(one), torch.tanh(one @ made.dense.weight.T) @ made.out.weight.T)
    assert made.dense.weight.std().item() == pytest.approx(0.02, rel=0.4)
    made.train()
    assert not torch.equal(made(one), made(one))  # dropout
