"""What the objectives do to token sequences: masked LM's corruption, and the two halves of split-order."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.text.tokenizer import Tokenizer

MASKED, REPLACED = 0.8, 0.1  # shares of the chosen tokens; the rest stays as it is (Devlin et al. 2019, section 3.1)


def mask_tokens(tokens: Tensor, tokenizer: Tokenizer, share: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choose tokens to predict and corrupt them. Special tokens are never chosen and never put in.

    Parameters
    ----------
    tokens: (b, l). share: probability of each ordinary token to be chosen.

    Returns
    -------
    The corrupted tokens, (b, l), and the places of the m chosen ones in the flattened tokens, (m,); m may be 0.
    """
    special = torch.tensor(tokenizer.special)
    number, chance, kind = (torch.rand(tokens.shape, generator=draws) for _ in range(3))
    chosen = (chance < share) & ~torch.isin(tokens, special)
    ordinary = torch.arange(tokenizer.vocabulary)
    ordinary = ordinary[~torch.isin(ordinary, special)]
    replacement = ordinary[(number * len(ordinary)).long().clamp(max=len(ordinary) - 1)]
    corrupted = torch.where(chosen & (kind < MASKED), tokenizer.mask, tokens)
    corrupted = torch.where(chosen & (kind >= MASKED) & (kind < MASKED + REPLACED), replacement, corrupted)
    return corrupted, chosen.flatten().nonzero()[:, 0]


def halves(ids: NDArray[np.int64], swap: bool, later: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the two halves of a sentence in order or swapped; no token is lost.

    The middle one of an odd number of tokens ends the first half or, if ``later``, begins the second. Drawn apart
    from ``swap``, it keeps the lengths of the two from telling the order.
    """
    middle = (len(ids) + (not later)) // 2
    return (ids[middle:], ids[:middle]) if swap else (ids[:middle], ids[middle:])
