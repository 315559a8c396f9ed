"""Methods on problems with known optima: those of the suite, on whole parts and so without noise, and others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from bench.protocol_files import load
from methods import METHODS
from methods.settings import Settings
from methods.stage import Uninterrupted as Uninterrupted  # handed on to the tests
from methods.stages.finetune import FineTune
from tasks import BACKBONES
from tasks.analytic.exact import BiLevel, EndTask, TriLevel
from tasks.analytic.problem import AnalyticProblem as SuiteProblem
from tasks.analytic.quadratic import CORPUS, SIZES, Array, D, quadratic
from tasks.catalogue import get
from tasks.labels import labels_of
from tasks.problem import Problem, TestKey
from tasks.settings import LabelSettings
from tasks.spec import ProblemSpec

SPEC = ProblemSpec(
    task=get("analytic:isotropic"), split_checksum="", labels={}, backbone="analytic", encoder={}, corpus={},
    objectives=("first", "second", "harmful"), seed=0,
)  # fmt: skip
C, GAMMA = 1.0, 0.5  # with which the best weights of analytic:isotropic are 0.7 helpful and 0.3 partly
SGD = {"name": "sgd", "weight_decay": 0.0, "momentum": 0.0, "schedule": "constant", "warmup": 0.0, "clip": "null"}
WHOLE = {
    "continued.batch": CORPUS, "continued.optimiser.lr": 0.3, "tapweight.optimiser.lr": 0.3, "tapweight.gamma": GAMMA,
    "tapweight-blo.coefficient": C, "tapweight.unroll_one": 1, "tapweight-blo.unroll": 1, "tapweight.point": "post",
    "tapweight.largest_move": "null",
    **{f"{section}.optimiser.{key}": value for section in ("continued", "tapweight") for key, value in SGD.items()},
    **{f"{section}.{key}": value for section in ("tapweight", "tapweight-blo") for key, value in {
        "batch": SIZES["train"], "validation_batch": SIZES["val"], "hypergradient.name": "forward",
        "alignment": "raw", "rate_schedule": "constant"}.items()},
    **{f"{section}.{key}": value for section in ("tartan", "autolambda", "gradcos", "ol-aux") for key, value in {
        "batch": SIZES["train"], "evaluate_every": 10**6, "head.lr": 0.3}.items()},
    **{f"{section}.head.{key}": value for section in ("tartan", "autolambda", "gradcos", "ol-aux")
       for key, value in SGD.items()},
    "tartan.validation_batch": SIZES["val"], "tartan.meta_batch": SIZES["train"],
    "autolambda.validation_batch": SIZES["val"],
}  # fmt: skip


def start_of(problem: Problem) -> dict[str, Any]:
    """Fresh weights of a problem, as a first stage would hand them on."""
    return {"encoder": problem.encoder().state_dict(), "heads": problem.objective_heads().state_dict()}


class AnalyticProblem(SuiteProblem):
    """Centres a of shape (n, 2) and a target t of shape (2,), one curvature, unlabelled examples without noise."""

    def __init__(self, centres: Tensor, target: Tensor) -> None:
        base, padded = quadratic("isotropic"), np.zeros((len(centres), D))
        padded[:, :2] = centres.numpy()
        data = replace(
            base, centres=padded, curvatures=np.stack([np.eye(D)] * len(centres)), corpus=np.zeros((1, D)),
            labels=base.inputs[:, :2] @ target.numpy()[:, None],
        )  # fmt: skip
        super().__init__(SPEC, "cpu", data, labels_of(data, SPEC.task, LabelSettings(standardise=False), SPEC.seed)[0])


def built(name: str = "isotropic", seed: int = 0) -> tuple[SuiteProblem, TestKey]:
    """A problem of the suite."""
    task, backbone = get(f"analytic:{name}"), BACKBONES.get("analytic")
    settings = load("smoke").resolve(METHODS.get("cp"), task, "analytic").settings
    problem, key = backbone.build(backbone.describe(task, settings, seed), settings, "cpu")
    assert isinstance(problem, SuiteProblem)
    return problem, key


def levels(name: str, *, null_seed: int | None = None) -> tuple[TriLevel, BiLevel]:
    """What tapweight and tapweight-blo descend on; their controls, with the shuffled labels of a seed."""
    data = quadratic(name)
    train, val = EndTask.part(data, "train"), EndTask.part(data, "val")
    if null_seed is not None:
        batch = built(name, null_seed)[0].stream("val-null", SIZES["val"], "any").batch(0)
        val = EndTask.of(batch["inputs"].numpy(), batch["labels"].numpy())
    return TriLevel(data, GAMMA, train, val), BiLevel(data, C, train, val)


def settings_of(method: str, name: str = "isotropic", **changes: Any) -> Settings:
    """The settings of a method on whole parts: ``a__b=1`` changes ``a.b``, and - is written _of_."""
    dotted = {key.replace("_of_", "-").replace("__", "."): value for key, value in changes.items()}
    rules = load("smoke", [f"{key}={value}" for key, value in (WHOLE | dotted).items()])
    return rules.resolve(METHODS.get(method), get(f"analytic:{name}"), "analytic").settings


class Run:
    """How a registered method's own stages, without the fine-tuning at the end, go from a fresh start."""

    def __init__(self, method: str, name: str = "isotropic", seed: int = 0, **changes: Any) -> None:
        self.problem = built(name, seed)[0]
        start: Any = start_of(self.problem)
        for stage in METHODS.get(method).stages(settings_of(method, name, **changes)):
            if not isinstance(stage, FineTune):
                self.result = stage.run(self.problem, start, Uninterrupted())
                start = self.result.weights
        self.theta = start["encoder"]["theta"].numpy()

    def rows(self, column: str = "weights") -> Array:
        """A column of the trajectory, shape (u, terms)."""
        return np.array(self.result.log["trajectory"][column])

    @property
    def weights(self) -> Array:
        """The last ones."""
        last: Array = self.rows()[-1]
        return last
