"""The backbone "analytic": one vector as encoder, for which everything is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import RequestError
from bench.files import digest
from tasks import BACKBONES
from tasks.backbone import Backbone, Say
from tasks.info import TaskInfo
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    from tasks.problem import Problem, TestKey

NAME = "analytic"


def prepare(
    tasks: Sequence[TaskInfo], settings: TaskSettings, *, mirror: str | None, download: bool, workers: int, say: Say
) -> None:
    """Do nothing: the data is computed when it is asked for."""


def describe(task: TaskInfo, settings: TaskSettings, seed: int) -> ProblemSpec:
    """Return what determines the problem: of the settings the split of validation alone, as labels keep their units."""
    from tasks.analytic.quadratic import CORPUS, OBJECTIVES, D, K, quadratic, recipe

    data, numbers = quadratic(task.name), digest(recipe(task.name))
    parts = {name: getattr(data, name).tolist() for name in ("train", "val", "test")}
    return ProblemSpec(
        task=task,
        split_checksum=digest(parts),
        labels={"recipe": numbers, **settings.labels.model_dump(include={"weights_share"}, exclude_defaults=True)},
        backbone=NAME,
        encoder={"name": NAME, "d": D, "k": K},
        corpus={"recipe": numbers, "examples": CORPUS},
        objectives=OBJECTIVES,
        seed=seed,
    )


def build(spec: ProblemSpec, settings: TaskSettings, device: str) -> tuple[Problem, TestKey]:
    """Make the problem; its test labels are sealed before it sees them."""
    from tasks.analytic.problem import AnalyticProblem
    from tasks.analytic.quadratic import quadratic
    from tasks.labels import labels_of

    if describe(spec.task, settings, spec.seed) != spec:
        raise RequestError(f"{spec.task.id}: expected the data that the spec describes, got another recipe")
    data = quadratic(spec.task.name)
    own_units = settings.labels.model_copy(update={"standardise": False})
    labels, key = labels_of(data, spec.task, own_units, spec.seed)
    return AnalyticProblem(spec, device, data, labels), key


BACKBONES.register(NAME)(
    Backbone(
        name=NAME,
        title="A vector, with quadratic objectives and end task",
        modality="analytic",
        inputs="vector",
        prepare=prepare,
        describe=describe,
        build=build,
        usual=True,
        double=True,
    )
)
