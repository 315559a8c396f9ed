"""A problem whose optimal weights are known: quadratic objectives and end task of isotropic curvature.

L_i(theta) = ||theta - a_i||^2 / 2, so continued pretraining converges to theta(s) = sum_i s_i a_i, and the
end task's loss is ||omega - t||^2 / 2. The best weights are those of the point of the hull nearest to t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from methods.stage import Stateful
from tasks.catalogue import get
from tasks.problem import Batch, BatchStream, Problem, Scores, Source
from tasks.spec import ProblemSpec

SPEC = ProblemSpec(
    task=get("demo:logp"), split_checksum="", labels={}, backbone="analytic", encoder={}, corpus={},
    objectives=("first", "second", "harmful"), seed=0,
)  # fmt: skip


class Point(nn.Module):
    """An encoder that is its parameter."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.value


class Same(BatchStream):
    """The same batch for ever: the problem has no noise."""

    def __len__(self) -> int:
        return self.batch_size

    def batch(self, step: int) -> Batch:
        return {"step": torch.tensor(step)}


class AnalyticProblem(Problem):
    """Centres a of shape (n, d), target t of shape (d,)."""

    def __init__(self, centres: Tensor, target: Tensor) -> None:
        self.spec, self.device = SPEC, torch.device("cpu")
        self.centres, self.target = centres, target

    def encoder(self) -> nn.Module:
        return Point(self.centres.shape[1])

    def load_checkpoint(self, path: Path) -> nn.Module:
        raise NotImplementedError

    def objective_heads(self) -> nn.ModuleDict:
        # A head that no loss reads: its parameters must neither matter nor disturb.
        return nn.ModuleDict({"unused": nn.Linear(1, 1, dtype=torch.float64).requires_grad_(False)})

    def objective_terms(self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Any = ()) -> list[Tensor]:
        return list(((encoder() - self.centres) ** 2).sum(1) / 2)

    def downstream_head(self) -> nn.Module:
        return nn.Identity()

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        features: Tensor = encoder()
        return features

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        loss: Tensor = ((outputs - self.target) ** 2).sum() / 2
        return loss

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        return Same(batch_size)

    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: Any = None) -> Scores:
        return {"rmse": float(self.downstream_loss(encoder, head, {}).detach())}

    def facts(self) -> dict[str, Any]:
        return {}


class Uninterrupted:
    """A context without checkpoints."""

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        return iter(range(total))


def start_of(problem: Problem) -> dict[str, Any]:
    """Fresh weights of a problem, as a first stage would hand them on."""
    return {"encoder": problem.encoder().state_dict(), "heads": problem.objective_heads().state_dict()}
