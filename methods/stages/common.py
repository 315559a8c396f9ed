"""Pieces that the stages share: the pretrained body, checks of losses, logs that can be saved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import RequestError, nearest
from methods.hypergradient.functional import Function, Parameters, as_function
from methods.hypergradient.precision import full_precision
from methods.settings import ContinuedSettings
from methods.stage import State, Stateful, Weights
from methods.stages import optimiser as optimisers
from methods.weighting.positive import TermError
from methods.weighting.rule import Signals, Weighting
from tasks.problem import Batch, BatchStream, Problem
from tasks.randomness import generator

SLOPE_BATCHES = 4  # that are looked at before an objective counts as constant
ROWS = 1000  # of a logged trajectory at most; longer ones are thinned evenly
PURPOSE = "continued"  # of the corpus batches: every method's pretraining sees the same ones


class LossError(ArithmeticError):
    """A loss became NaN or infinite, or depends on nothing that trains."""


def copy_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state of ``module`` as tensors of its own on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def restored(module: nn.Module, state: State) -> nn.Module:
    """Load ``state`` into ``module`` and return it in training mode."""
    module.load_state_dict(dict(state))
    return module.train()


def check_finite(values: Tensor, names: Sequence[str], stage: str, step: int) -> None:
    """Raise LossError naming stage, step, loss and value, if any of ``values`` is not finite."""
    for name, value in zip(names, values.tolist(), strict=True):
        if value != value or abs(value) == float("inf"):
            raise LossError(f"{stage}, step {step}: the loss {name!r} is {value}")


def update(rule: Weighting, signals: Signals, terms: Sequence[str], stage: str, step: int) -> None:
    """Let a rule learn; raises LossError naming stage, step and loss, if it cannot learn from one."""
    try:
        rule.update(signals)
    except TermError as error:
        raise LossError(f"{stage}, step {step}: the loss {terms[error.term]!r}: {error.message}") from error


def check_known(named: Collection[str], objectives: Sequence[str], stage: str, option: str) -> None:
    """Raise RequestError with the nearest names if one that an option names is not one of ``objectives``."""
    for name in named:
        if name not in objectives:
            raise RequestError(f"stage {stage!r}: {option}: {name!r} is no objective; {nearest(name, objectives)}")


class Pretraining:
    """The encoder theta, the objective heads and their optimiser, from the weights that a stage is given.

    The optimiser moves ``head`` too, the end task's where it is trained on the same level.
    Raises LossError if an objective depends on nothing that trains and is not declared idle.
    """

    def __init__(
        self, problem: Problem, start: Weights, settings: ContinuedSettings, stage: str, idle: Collection[str] = (),
        head: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.problem, self.settings, self.stage, self.idle = problem, settings, stage, idle
        self.encoder = restored(problem.encoder(), start["encoder"])
        self.heads = problem.objective_heads()
        restored(self.heads, start["heads"])
        parameters = [*self.encoder.parameters(), *self.heads.parameters(), *(head.parameters() if head else ())]
        slow = {p: share for module, share in problem.slow_parts(self.heads).items() for p in module.parameters()}
        self.optimiser = optimisers.build(parameters, settings.optimiser, slow)

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of the body."""
        return {"encoder": self.encoder, "heads": self.heads, "optimiser": self.optimiser}

    def losses(self, batch: Batch, step: int) -> Tensor:
        """Return the n losses with their graph, shape (n,), all finite."""
        return torch.stack(self.terms(batch, step))

    def terms(self, batch: Batch, step: int) -> list[Tensor]:
        """Return :meth:`losses` one by one, so that a backward pass through one visits only its own graph."""
        terms = self.problem.objective_terms(self.encoder, self.heads, batch, self.idle)
        check_finite(torch.stack([term.detach() for term in terms]), self.problem.objectives, self.stage, step)
        return terms

    def active(self, batch: Batch, step: int) -> list[Tensor]:
        """Return :meth:`terms` without the idle ones."""
        pairs = zip(self.problem.objectives, self.terms(batch, step), strict=True)
        return [term for name, term in pairs if name not in self.idle]

    def move(self, step: int) -> None:
        """Move theta and the heads along the gradient that they hold."""
        optimisers.apply(self.optimiser, self.settings.optimiser, step, self.settings.steps)

    def function(self, batch: Batch) -> tuple[Function, Parameters]:
        """Return the n losses of ``batch`` as a function of theta and the heads, and their present values."""
        return as_function(
            self.encoder,
            self.heads,
            lambda encoder, heads: self.problem.objective_losses(encoder, heads, batch, self.idle),  # type: ignore[arg-type]
        )

    def check_slopes(self, stream: BatchStream) -> None:
        """Raise LossError if the slope of an objective along a random direction is exactly 0 in each of some batches.

        One batch alone may have nothing for an objective, such as small molecules without a context.
        """
        still = set(self.problem.objectives) - set(self.idle)
        for step in range(SLOPE_BATCHES):
            function, present = self.function(stream.batch(step))
            draws = generator(0, "slopes")
            along = {name: torch.randn(p.shape, generator=draws).to(p) for name, p in present.items()}
            with full_precision(self.problem.device):
                losses, slopes = torch.func.jvp(function, (present,), (along,))[:2]
            still &= {name for name, slope in zip(self.problem.objectives, slopes.tolist(), strict=True) if slope == 0}
            if not still:
                return
        name = next(name for name in self.problem.objectives if name in still)
        loss = losses[self.problem.objectives.index(name)].item()
        raise LossError(f"{self.stage}, step 0: the loss {name!r} is constant at {loss}: nothing moves it")

    def weights(self) -> dict[str, State]:
        """Return what the stage hands on."""
        return {"encoder": copy_state(self.encoder), "heads": copy_state(self.heads)}


def on_cpu(losses: Tensor) -> Tensor:
    """Return losses as rules and logs take them: without graph, float64 on the CPU."""
    return losses.detach().double().cpu()


class TrajectoryLog:
    """Rows of (step, weights, alignment, losses, |v|), saved and restored with the stage."""

    def __init__(self, terms: Sequence[str]) -> None:
        self.terms = list(terms)
        names = ("steps", "weights", "alignment", "losses", "gradient_norm")
        self.rows: dict[str, list[Any]] = {name: [] for name in names}

    def add(
        self, step: int, weights: Tensor, losses: Tensor, alignment: Tensor | None = None, norm: float | None = None
    ) -> None:
        """Append one row: after ``step`` steps of pretraining, the weights that follow from this row's signals.

        ``norm`` is that of the validation gradient v on the encoder's parameters.
        """
        self.rows["steps"].append(step)
        self.rows["weights"].append(weights.tolist())
        self.rows["losses"].append(losses.tolist())
        if alignment is not None:
            self.rows["alignment"].append(alignment.tolist())
        if norm is not None:
            self.rows["gradient_norm"].append(norm)

    def record(self) -> dict[str, Any]:
        """Return the trajectory as the record holds it, with the first and last row and at most about ROWS."""
        count = len(self.rows["steps"])
        keep = sorted({*range(0, count, max(1, count // ROWS)), count - 1} - {-1})
        return {"objectives": self.terms} | {
            name: [rows[k] for k in keep] if rows else [] for name, rows in self.rows.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the rows."""
        return self.rows

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.rows = state
