"""Heads and losses of the objectives on text (arXiv 2410.10006, Appendix C; Liu et al. 2019; Gao et al. 2021).

Letters: b sentences, l tokens of a padded sentence, m predicted tokens, d width of the encoder, e width of
its word embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.text.batches import IGNORED

SPREAD = 0.02  # standard deviation of fresh weights, as in RoBERTa


def linear(inputs: int, outputs: int, draws: torch.Generator) -> nn.Linear:
    """Return a linear layer with weights N(0, 0.02^2) from ``draws`` and bias 0."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    nn.init.normal_(layer.weight, std=SPREAD, generator=draws)
    nn.init.zeros_(layer.bias)
    return layer


class MaskedLMHead(nn.Module):
    """States (m, d) to logits (m, vocabulary): RoBERTa's head. Its parameters have the names of RoBERTa's.

    The decoder is tied: it is the encoder's word embeddings, which each call is given, so their gradient
    counts for B and the head has none of its own.
    """

    def __init__(self, width: int, embedding: int, vocabulary: int, epsilon: float, draws: torch.Generator) -> None:
        super().__init__()
        self.dense = linear(width, embedding, draws)
        self.layer_norm = nn.LayerNorm(embedding, eps=epsilon)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, words: Tensor) -> Tensor:
        return functional.linear(self.layer_norm(functional.gelu(self.dense(states))), words, self.bias)


class Projection(nn.Module):
    """First-token states (b, d) to (b, d): SimCSE's tanh layer, of the loss alone. Downstream heads never see it."""

    def __init__(self, width: int, draws: torch.Generator) -> None:
        super().__init__()
        self.dense = linear(width, width, draws)

    def forward(self, states: Tensor) -> Tensor:
        return self.dense(states).tanh()  # type: ignore[no-any-return]


class ClassificationHead(nn.Module):
    """First-token states (b, d) to outputs (b, t): RoBERTa's, for the end task and for split-order."""

    def __init__(self, width: int, outputs: int, dropout: float, draws: torch.Generator) -> None:
        super().__init__()
        self.dense, self.out = linear(width, width, draws), linear(width, outputs, draws)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        return self.out(self.dropout(self.dense(self.dropout(states)).tanh()))  # type: ignore[no-any-return]


def masked_lm(head: nn.Module, words: Tensor, states: Tensor, predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the m predicted tokens, 0 (with gradient 0) if there are none.

    The states of these tokens are gathered before the head, so logits of (m, vocabulary) are all that is made.

    Parameters
    ----------
    states: (b, l, d). predicted: (m,), places in the flattened tokens. targets: (m,).
    """
    logits = head(states.flatten(0, 1)[predicted], words)
    return functional.cross_entropy(logits, targets, reduction="sum") / max(len(targets), 1)


def contrastive(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Return the mean over rows of the cross-entropy of cos(one_a, other_b) / temperature, targets the diagonal.

    The negatives of a sentence are the second passes of the other sentences (Gao et al. 2021, Eq. 1).
    """
    similarity = functional.normalize(one, dim=1) @ functional.normalize(other, dim=1).T
    return functional.cross_entropy(similarity / temperature, torch.arange(len(one), device=one.device))


def split_order(logits: Tensor, order: Tensor) -> Tensor:
    """Return the mean cross-entropy of "the halves are in order" over sentences that have two, 0 if none has."""
    total = functional.cross_entropy(logits, order, ignore_index=IGNORED, reduction="sum")
    return total / (order != IGNORED).sum().clamp(min=1)
