"""Pieces that the stages share: rebuilding modules from weights, one pretraining step, logs that can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from methods.settings import OptimiserSettings
from methods.stage import State, Weights
from methods.stages import optimiser as optimisers
from tasks.problem import Batch, Problem

ROWS = 1000  # of a logged trajectory at most; longer ones are thinned evenly


class NonFiniteError(ArithmeticError):
    """A loss became NaN or infinite."""


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of ``module`` as tensors of its own on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def restored(module: nn.Module, state: State) -> nn.Module:
    """Load ``state`` into ``module`` and return it in training mode."""
    module.load_state_dict(dict(state))
    return module.train()


def pretraining_modules(problem: Problem, start: Weights) -> tuple[nn.Module, nn.ModuleDict]:
    """Return the encoder theta and the objective heads at the weights ``start``."""
    heads = problem.objective_heads()
    restored(heads, start["heads"])
    return restored(problem.encoder(), start["encoder"]), heads


def check_finite(values: Tensor, names: Sequence[str], stage: str, step: int) -> None:
    """Raise NonFiniteError naming stage, step, loss and value, if any of ``values`` is not finite."""
    for name, value in zip(names, values.tolist(), strict=True):
        if value != value or abs(value) == float("inf"):
            raise NonFiniteError(f"{stage}, step {step}: the loss {name!r} is {value}")


def pretraining_step(
    problem: Problem,
    encoder: nn.Module,
    heads: nn.ModuleDict,
    batch: Batch,
    s: Tensor,
    *,
    optimiser: torch.optim.Optimizer,
    settings: OptimiserSettings,
    step: int,
    steps: int,
    stage: str,
) -> Tensor:
    """Take one step on L_pt = sum_i s_i L_i and return the losses, shape (n,), float64 on the CPU."""
    losses = problem.objective_losses(encoder, heads, batch)
    (s.to(losses) @ losses).backward()
    measured = losses.detach().double().cpu()
    check_finite(measured, problem.objectives, stage, step)
    optimisers.apply(optimiser, settings, step, steps)
    return measured


class TrajectoryLog:
    """Rows of (step, weights, alignment, losses), saved and restored with the stage."""

    def __init__(self, objectives: Sequence[str]) -> None:
        self.objectives = list(objectives)
        self.rows: dict[str, list[Any]] = {"steps": [], "weights": [], "alignment": [], "losses": []}

    def add(self, step: int, weights: Tensor, losses: Tensor, alignment: Tensor | None = None) -> None:
        """Append one row: after ``step`` steps of pretraining, the weights that follow from this row's signals."""
        self.rows["steps"].append(step)
        self.rows["weights"].append(weights.tolist())
        self.rows["losses"].append(losses.tolist())
        if alignment is not None:
            self.rows["alignment"].append(alignment.tolist())

    def record(self) -> dict[str, Any]:
        """Return the trajectory as the record holds it, with the first and last row and at most about ROWS."""
        count = len(self.rows["steps"])
        keep = sorted({*range(0, count, max(1, count // ROWS)), count - 1} - {-1})
        return {"objectives": self.objectives} | {
            name: [rows[k] for k in keep] if rows else [] for name, rows in self.rows.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return self.rows

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.rows = state
