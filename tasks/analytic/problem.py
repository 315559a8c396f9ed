"""An encoder that is one vector, quadratic objectives and a quadratic end task, in float64.

The numbers and the letters are those of :mod:`tasks.analytic.quadratic`; the optima are in
:mod:`tasks.analytic.exact`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import RequestError
from tasks.analytic.quadratic import CORPUS, SIZES, K, Quadratic
from tasks.labels import LABELLED, Labels, Split
from tasks.losses import masked_loss
from tasks.problem import Batch, BatchStream, Problem, Scores, Source, TestKey
from tasks.randomness import generator
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream, pool_of

START_SCALE = 0.1  # sd of the entries of a fresh theta
HEAD_SCALE = 2.0  # sd of the entries of a fresh downstream head: a head must be trained before it says anything
SCATTER = 0.5  # how far an unlabelled example moves the centre of an objective, per unit of its inputs


class Direction(nn.Module):
    """theta (d,), and as features (b, 1 + k) of inputs x (b, d): x . theta, then the inputs that the head reads."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(start)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the features of inputs."""
        return torch.cat([(inputs @ self.theta)[:, None], inputs[:, -K:]], dim=1)


class Offset(nn.Module):
    """phi (k,), and as outputs (b, 1) of features (b, 1 + k): the first one plus the others along phi."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.phi = nn.Parameter(start)

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs of features."""
        return features[:, :1] + (features[:, 1:] @ self.phi)[:, None]


class Lone(nn.Module):
    """The head of one objective: a number h that adds h^2 / 2 to its loss and has nothing to do with theta."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.h = nn.Parameter(start)

    def forward(self) -> Tensor:
        """Return h^2 / 2."""
        return self.h.square() / 2


class AnalyticProblem(Problem):
    """The problem of one task. Letters as in ``Problem``; t is 1.

    An unlabelled example u (d,) moves the centre of objective i to a_i + SCATTER roll(u, i): in each batch
    an objective pulls elsewhere, on the whole corpus, whose mean is 0, to a_i. The inputs of the training
    part as unlabelled examples ("task") are few and off centre, so there each objective is a little off.
    The end-task loss is half the mean squared error, in the units of the labels.
    """

    def __init__(self, spec: ProblemSpec, device: str, data: Quadratic, labels: Labels) -> None:
        self.spec, self.device = spec, torch.device(device)
        self._labels = labels
        # Copies, since the tables are read-only.
        self._inputs, corpus, self._centres, self._curvatures = (
            torch.from_numpy(array.copy()).to(self.device)
            for array in (data.inputs, data.corpus, data.centres, data.curvatures)
        )
        self._sources = {"corpus": corpus, "task": self._inputs[labels.rows("train")]}

    def encoder(self) -> nn.Module:
        return Direction(START_SCALE * self._normal(self._centres.shape[1], "encoder"))

    def load_checkpoint(self, path: Path) -> nn.Module:
        raise RequestError(
            f"start.checkpoint: the backbone {self.spec.backbone!r} has no checkpoints, got {path.name!r}; "
            "choose --protocol smoke or small, which pretrain their own start"
        )

    def objective_heads(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: Lone(self._normal(1, "head", name).squeeze(0)) for name in self.objectives})

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        """Return the n losses, each from a graph of its own."""
        (theta,) = encoder.parameters()
        terms = []
        for index, name in enumerate(self.objectives):
            if name in idle:
                terms.append(theta.new_zeros(()))
                continue
            apart = theta - self._centres[index] - SCATTER * batch["inputs"].roll(index, dims=1)  # (b, d)
            terms.append((apart @ self._curvatures[index] * apart).sum(1).mean() / 2 + heads[name]())
        return terms

    def downstream_head(self) -> nn.Module:
        return Offset(HEAD_SCALE * self._normal(K, "downstream head"))

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        features: Tensor = encoder(batch["inputs"])
        return features

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return masked_loss(outputs, batch["labels"], "regression") / 2

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        seed, labels = self.spec.seed, self._labels
        if source not in LABELLED:
            pool = pool_of(self._sources, source, purpose)
            places = torch.arange(len(pool))
            return ShuffledStream(batch_size, places, seed, purpose, lambda chosen, _: {"inputs": pool[chosen]})
        inputs, targets = self._inputs[labels.rows(source)], labels.targets(source).to(self.device)

        def make(chosen: Tensor, _: torch.Generator) -> Batch:
            return {"inputs": inputs[chosen], "labels": targets[chosen]}

        return ShuffledStream(batch_size, torch.arange(len(inputs)), seed, purpose, make)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Split = "val", key: TestKey | None = None) -> Scores:
        outputs = head(encoder(self._inputs[self._labels.parts[split]]))
        return self._labels.score(outputs.cpu().numpy(), split, key)

    def facts(self) -> dict[str, Any]:
        return {"table": {"rows": len(self._inputs), **SIZES}, "corpus": {"examples": CORPUS}}

    def _normal(self, size: int, *purpose: str) -> Tensor:
        draws = generator(self.spec.seed, *purpose)
        return torch.randn(size, generator=draws, dtype=torch.float64).to(self.device)
