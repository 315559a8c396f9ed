"""An encoder that is one vector, quadratic objectives and a quadratic end task, in float64.

The numbers and the letters are those of :mod:`tasks.analytic.quadratic`; the optima are in
:mod:`tasks.analytic.exact`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.errors import RequestError
from tasks.analytic.quadratic import CORPUS, SIZES, K, Quadratic
from tasks.losses import masked_loss
from tasks.metrics import evaluate
from tasks.problem import Batch, BatchStream, Problem, Scores, Source, TestKey
from tasks.randomness import generator
from tasks.sealed import SealedLabels
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream

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

    def __init__(
        self, spec: ProblemSpec, device: str, data: Quadratic, visible: NDArray[np.float64], sealed: SealedLabels
    ) -> None:
        self.spec, self.device = spec, torch.device(device)
        self._visible, self._sealed = visible, sealed
        self._rows = {"train": data.train, "val": data.val, "test": data.test}
        # Copies, since the tables are read-only.
        self._inputs, self._targets, self._corpus, self._centres, self._curvatures = (
            torch.from_numpy(array.copy()).to(self.device)
            for array in (data.inputs, visible, data.corpus, data.centres, data.curvatures)
        )
        self._sigma = visible[data.train].std(axis=0)

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
        seed = self.spec.seed
        unlabelled = source in ("corpus", "task")
        rows = torch.from_numpy(self._rows["train" if source in ("train", "task") else "val"].copy())
        inputs = self._corpus if source == "corpus" else self._inputs[rows]
        targets = self._targets[rows]
        if source == "val-null":
            targets = targets[torch.randperm(len(rows), generator=generator(seed, "val-null"))]

        def make(chosen: Tensor, draws: torch.Generator) -> Batch:
            return {"inputs": inputs[chosen]} | ({} if unlabelled else {"labels": targets[chosen]})

        return ShuffledStream(batch_size, torch.arange(len(inputs)), seed, purpose, make)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: TestKey | None = None) -> Scores:
        rows = self._rows[split]
        labels = self._sealed.open(key) if split == "test" else self._visible[rows]
        outputs = head(encoder(self._inputs[torch.from_numpy(rows.copy())]))
        return evaluate(self.task, labels, outputs.cpu().numpy(), self._sigma)

    def facts(self) -> dict[str, Any]:
        return {"table": {"rows": len(self._visible), **SIZES}, "corpus": {"examples": CORPUS}}

    def _normal(self, size: int, *purpose: str) -> Tensor:
        draws = generator(self.spec.seed, *purpose)
        return torch.randn(size, generator=draws, dtype=torch.float64).to(self.device)
