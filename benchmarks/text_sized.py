"""A problem of the size of a small text model, on random tokens: for timings only.

Four transformer layers of width 256 and a vocabulary of 8,000; three objectives as TapWeight has them on
text: masked LM, contrastive (InfoNCE of two noisy views), order of two halves. No dropout.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tasks.catalogue import get
from tasks.problem import Batch, BatchStream, Problem, Scores, Source
from tasks.randomness import generator
from tasks.spec import ProblemSpec

WORDS, WIDTH, LENGTH, MASKED, TEMPERATURE, NOISE = 8000, 256, 64, 0.15, 0.05, 0.1


class Encoder(nn.Module):
    """Tokens (b, LENGTH) to states (b, LENGTH, WIDTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attention is not fused: the fused kernel has no forward mode."""
        with sdpa_kernel(SDPBackend.MATH):
            states: Tensor = self.layers(self.words(tokens))
        return states


class Tokens(BatchStream):
    """Random tokens with everything that the losses read."""

    def __len__(self) -> int:
        return 1000

    def batch(self, step: int) -> Batch:
        draws = generator(0, "tokens", self.batch_size, step)
        tokens = torch.randint(WORDS, (self.batch_size, LENGTH), generator=draws)
        hidden = torch.rand(tokens.shape, generator=draws) < MASKED
        return {
            "tokens": tokens,
            "masked": tokens.masked_fill(hidden, 0),
            "hidden": hidden,
            "noise": NOISE * torch.randn(2, self.batch_size, WIDTH, generator=draws),
            "order": torch.randint(2, (self.batch_size,), generator=draws),
            "labels": torch.randn(self.batch_size, 1, generator=draws),
        }


class TextSized(Problem):
    """The problem; scores mean nothing."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.spec = ProblemSpec(
            task=get("demo:logp"), split_checksum="", labels={}, backbone="text-sized", encoder={}, corpus={},
            objectives=("masked-lm", "contrastive", "order"), seed=0,
        )  # fmt: skip

    def encoder(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return Encoder()

    def load_checkpoint(self, path: Path) -> nn.Module:
        raise NotImplementedError

    def objective_heads(self) -> nn.ModuleDict:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return nn.ModuleDict({"masked-lm": nn.Linear(WIDTH, WORDS), "order": nn.Linear(WIDTH, 2)})

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        states = encoder(batch["masked"])
        hidden = states[batch["hidden"]]  # gathered before the vocabulary head
        language = functional.cross_entropy(heads["masked-lm"](hidden), batch["tokens"][batch["hidden"]])
        first, second = (functional.normalize(states[:, 0] + noise, dim=1) for noise in batch["noise"])
        rows = torch.arange(len(first))
        contrast = functional.cross_entropy(first @ second.T / TEMPERATURE, rows)
        order = functional.cross_entropy(heads["order"](states[:, 0]), batch["order"])
        return [language, contrast, order]

    def downstream_head(self) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(2)
            return nn.Linear(WIDTH, 1)

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        states: Tensor = encoder(batch["tokens"])
        return states[:, 0]

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return functional.mse_loss(outputs, batch["labels"])

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        return Tokens(batch_size)

    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: Any = None) -> Scores:
        return {"rmse": 0.0}

    def facts(self) -> dict[str, Any]:
        return {}
