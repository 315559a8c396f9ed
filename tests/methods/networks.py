"""A problem with a small smooth network in float64, on which differences at a tiny radius are exact."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from methods.settings import BiLevelSettings, ContinuedSettings, OptimiserSettings, TriLevelSettings
from tasks.catalogue import get
from tasks.problem import Batch, BatchStream, Problem, Scores, Source
from tasks.randomness import generator
from tasks.spec import ProblemSpec

INPUTS, HIDDEN, WIDTH, CLASSES = 6, 5, 4, 3
NAMES = ("first", "second", "third", "fourth", "fifth")


class Encoder(nn.Module):
    """Inputs (b, INPUTS) to features (b, WIDTH)."""

    def __init__(self, dropout: float, norm: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm: nn.Module = nn.BatchNorm1d(HIDDEN) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.second(self.dropout(torch.tanh(self.norm(self.first(x))))))
        return features


@dataclass(frozen=True)
class Stream(BatchStream):
    """Random inputs and targets by (purpose, step); one batch for ever where there is no noise."""

    purpose: str
    noise: bool
    shuffled: bool
    asked: list[int] = field(default_factory=list)  # the steps whose batches were asked for

    def __len__(self) -> int:
        return 1000

    def batch(self, step: int) -> Batch:
        self.asked.append(step)
        draws = generator(0, self.purpose, step if self.noise else 0)
        inputs = torch.randn(self.batch_size, INPUTS, generator=draws, dtype=torch.float64)
        labels = inputs[:, :1] + torch.randn(self.batch_size, 1, generator=draws, dtype=torch.float64) / 2
        return {"inputs": inputs, "labels": labels.flip(0) if self.shuffled else labels}


class NetworkProblem(Problem):
    """Objective ``name`` asks its head for a random function of the inputs that belongs to the name."""

    def __init__(
        self, objectives: Sequence[str] = NAMES[:3], dropout: float = 0.0, norm: bool = False, noise: bool = True
    ) -> None:
        self.spec = ProblemSpec(
            task=get("demo:logp"), split_checksum="", labels={}, backbone="network", encoder={}, corpus={},
            objectives=tuple(objectives), seed=0,
        )  # fmt: skip
        self.device, self.dropout, self.norm, self.noise = torch.device("cpu"), dropout, norm, noise
        self.streams: dict[str, Stream] = {}

    def encoder(self) -> nn.Module:
        return initialised(Encoder(self.dropout, self.norm), "encoder")

    def load_checkpoint(self, path: Path) -> nn.Module:
        raise NotImplementedError

    def objective_heads(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: initialised(nn.Linear(WIDTH, CLASSES), name) for name in self.objectives})

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        features, terms = encoder(batch["inputs"]), []
        for name in self.objectives:
            wanted = torch.randn(INPUTS, CLASSES, generator=generator(0, "wanted", name), dtype=torch.float64)
            loss = (heads[name](features) - torch.sin(batch["inputs"] @ wanted)).square().mean()
            terms.append(features.new_zeros(()) if name in idle else loss)
        return terms

    def downstream_head(self) -> nn.Module:
        return initialised(nn.Linear(WIDTH, 1), "downstream")

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        features: Tensor = encoder(batch["inputs"])
        return features

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch["labels"]).square().mean()

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        self.streams[purpose] = Stream(batch_size, purpose, self.noise, source == "val-null")
        return self.streams[purpose]

    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: Any = None) -> Scores:
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        return {}


def initialised(module: nn.Module, name: str) -> nn.Module:
    """The module in float64 with parameters drawn from a generator of its own."""
    draws = generator(0, "start", name)
    for parameter in module.double().parameters():
        parameter.data = torch.randn(parameter.shape, generator=draws, dtype=torch.float64) / 2
    return module


SGD = OptimiserSettings(name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3, schedule="constant")
UPPER = {"validation_batch": 8, "hypergradient": {"name": "forward"}, "alignment": "raw", "rate": 0.5,
         "rate_schedule": "constant", "batch": 8}  # fmt: skip


def continued(steps: int = 5) -> ContinuedSettings:
    """Level I."""
    return ContinuedSettings(steps=steps, batch=8, optimiser=SGD)


def three_levels(**changes: Any) -> TriLevelSettings:
    """Levels II and III, moving at every step unless told otherwise."""
    levels = {"gamma": 0.05, "optimiser": SGD.model_dump(), "unroll_one": 1, "unroll_two": 1, "point": "post"}
    return TriLevelSettings.model_validate(UPPER | levels | changes)


def two_levels(**changes: Any) -> BiLevelSettings:
    """The two levels, moving at every step unless told otherwise."""
    return BiLevelSettings.model_validate(UPPER | {"coefficient": 1.0, "unroll": 1} | changes)
