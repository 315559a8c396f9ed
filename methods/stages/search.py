"""Search for fixed weights: each trial is continued pretraining and fine-tuning, scored on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.errors import RequestError
from methods.settings import ContinuedSettings, FinetuneSettings
from methods.stage import Context, Stage, StageResult, State, Uninterrupted, Weights, source_key, task_key
from methods.stages.common import TrajectoryLog
from methods.stages.continued import Continued
from methods.stages.finetune import FineTune
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule
from tasks.problem import Problem
from tasks.randomness import derive, generator
from tasks.spec import ProblemSpec

Point = list[float]  # (n - 1,) in the unit cube


class Trials:
    """What the trials gave so far; an equal value does not replace the best one."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.weights: list[list[float]] = []
        self.values: list[float] = []
        self.best = 0
        self.losses: list[float] = []  # at the end of the best trial's pretraining
        self.model: dict[str, State] = {}  # of the best trial, before fine-tuning

    def add(self, point: Point, s: list[float], value: float, higher_is_better: bool, pretrained: StageResult) -> None:
        """Report a trial's weights, its validation score, and what its pretraining gave."""
        self.points.append(point)
        self.weights.append(s)
        self.values.append(value)
        best = self.values[self.best]
        if len(self.values) == 1 or (value > best if higher_is_better else value < best):
            self.best = len(self.values) - 1
            self.losses = pretrained.log["trajectory"]["losses"][-1]
            self.model = dict(pretrained.weights)

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        vars(self).update(state)


@dataclass(frozen=True)
class Search(Stage):
    """Equal weights first, then ``startup`` - 1 trials at random, then proposals by TPE; all at random if it is None.

    Hands on the encoder of the best trial as it was after pretraining. The trajectory has a row for each
    trial, with the weights and last losses of the best one so far. Checkpoints fall between trials.
    """

    pretraining: ContinuedSettings
    finetuning: FinetuneSettings  # of a trial
    trials: int
    startup: int | None
    name = "search"
    shared = False

    def validate(self, spec: ProblemSpec) -> None:
        if len(spec.objectives) < 2:
            raise RequestError(
                f"stage {self.name!r}: a search needs at least 2 terms to weight, "
                f"got {len(spec.objectives)} ({', '.join(spec.objectives) or 'none'})"
            )

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return source_key(spec, self.pretraining.source) | task_key(spec) | {
            "pretraining": self.pretraining.model_dump(mode="json"),
            "finetuning": self.finetuning.model_dump(mode="json"),
            "trials": self.trials,
            "startup": self.startup,
            "seed": spec.seed,
        }  # fmt: skip

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, n = self.pretraining, self.finetuning, len(problem.objectives)
        higher, found, log = problem.task.higher_is_better, Trials(), TrajectoryLog(problem.objectives)
        # With early stopping fewer.
        examples = one.steps * one.batch + two.epochs * len(problem.stream("train", two.batch, "finetune"))
        for trial in context.steps(self.trials, {"trials": found, "log": log}, examples):
            point = self._point(trial, n, problem.spec.seed, found, higher)
            s = on_simplex(point) if trial else [1 / n] * n
            name = f"{self.name}, trial {trial + 1}"
            pretrained = Continued(one, Rule(Fixed, {"s": s}), name=name).run(problem, start, Uninterrupted())
            tuned = FineTune(two).run(problem, pretrained.weights, Uninterrupted()).log
            chosen = tuned["learning_curve"]["done"].index(tuned["chosen_step"])
            found.add(point, s, tuned["learning_curve"]["validation"][chosen], higher, pretrained)
            log.add(trial + 1, float64(found.weights[found.best]), float64(found.losses))
        budget = {
            "trials": self.trials,
            "pretraining_steps": self.trials * one.steps,
            "finetuning_epochs": self.trials * two.epochs,  # at most
        }
        tried = [{"weights": s, "value": value} for s, value in zip(found.weights, found.values, strict=True)]
        return StageResult(found.model, log={"trajectory": log.record(), "budget": budget, "trials": tried})

    def _point(self, trial: int, n: int, seed: int, found: Trials, higher_is_better: bool) -> Point:
        """Return the next trial's point, which depends on the seed and the earlier trials alone."""
        if trial == 0:
            return centre(n)
        if self.startup is None or trial < self.startup:
            draws = generator(seed, "search", trial)
            return torch.rand(n - 1, generator=draws, dtype=torch.float64).tolist()  # type: ignore[no-any-return]
        return tpe(found.points, found.values, higher_is_better, derive(seed, "search", trial))


def float64(values: Sequence[float]) -> Tensor:
    """Return values as rules and logs take them."""
    return torch.tensor(values, dtype=torch.float64)


def on_simplex(point: Sequence[float]) -> list[float]:
    """Break a stick at n - 1 places: (n - 1,) in the unit cube to n weights; uniform there is uniform here.

    Piece k of n takes the share 1 - (1 - u_k)^(1 / (n - k)) of what the earlier ones left, the inverse of
    the distribution function of Beta(1, n - k): the weights are Dirichlet(1, ..., 1) for uniform u.
    """
    n, left, s = len(point) + 1, 1.0, list[float]()
    for k, u in enumerate(point, start=1):
        kept = left * (1 - u) ** (1 / (n - k))
        s.append(left - kept)
        left = kept
    return [*s, left]


def centre(n: int) -> Point:
    """Return the point of equal weights, which :func:`on_simplex` gives back but for rounding."""
    return [1 - (1 - 1 / (n - k + 1)) ** (n - k) for k in range(1, n)]


def tpe(points: Sequence[Point], values: Sequence[float], higher_is_better: bool, seed: int) -> Point:
    """Return the point that a tree-structured Parzen estimator of the earlier trials proposes next.

    Bergstra et al. 2011, as in Optuna. A new study each time, so that a resumed search asks the same question.
    """
    import optuna

    space: dict[str, optuna.distributions.BaseDistribution] = {
        f"u{k}": optuna.distributions.FloatDistribution(0, 1) for k in range(len(points[0]))
    }
    sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=0)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
    try:
        study = optuna.create_study(sampler=sampler, direction="maximize" if higher_is_better else "minimize")
    finally:
        optuna.logging.set_verbosity(before)
    for point, value in zip(points, values, strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=dict(zip(space, point, strict=True)), distributions=space, value=value)
        )
    asked = study.ask(space).params
    return [float(asked[name]) for name in space]
