"""From (method, task, backbone, seed) under a protocol to stages with digests and the cell's identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import artifacts
from bench.errors import RequestError
from bench.files import digest
from bench.protocol import Protocol, Resolved
from bench.records import FORMAT, Cell
from methods import METHODS
from methods.method import Method
from methods.settings import Precision
from methods.stage import Stage
from methods.stages.start import Start
from tasks import BACKBONES
from tasks.catalogue import get
from tasks.info import TaskInfo
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    from tasks.problem import Problem, TestKey

ARTIFACT_FORMAT = 1  # raise it when code changes, beyond the last bits, what a stage computes from the same settings


@dataclass(frozen=True)
class Link:
    """One stage of a cell with the digest of everything up to and including it."""

    stage: Stage
    spec: ProblemSpec  # of the problem that the stage trains on
    digest: str

    @property
    def done(self) -> bool:
        """Whether the artifact of a shared stage is there."""
        return self.stage.shared and artifacts.exists(artifacts.folder(self.stage.name, self.digest))


@dataclass(frozen=True)
class Chain:
    """A cell with everything that determines it."""

    cell: Cell
    method: Method
    task: TaskInfo
    spec: ProblemSpec
    resolved: Resolved
    links: tuple[Link, ...]

    @property
    def start(self) -> Start:
        """The stage that makes the weights which all methods share."""
        first = self.links[0].stage
        assert isinstance(first, Start)
        return first

    def problem(self, link: Link, device: str) -> tuple[Problem, TestKey]:
        """Load the problem that a stage trains on."""
        from methods.hypergradient.precision import in_precision

        settings = self.resolved.settings
        problem, key = BACKBONES.get(self.cell.backbone).build(link.spec, settings, device)
        return in_precision(problem, settings.training.precision), key

    def request(self) -> dict[str, Any]:
        """The part of a job's payload that names the cell."""
        return {
            "method": self.cell.method,
            "task": self.cell.task,
            "backbone": self.cell.backbone,
            "seed": self.cell.seed,
        }


def backbones_of(method: Method) -> list[str]:
    """Return the backbones that a method runs on, the preferred ones first."""
    return list(method.backbones) or sorted(BACKBONES.names(), key=lambda name: not BACKBONES.get(name).usual)


def backbone_for(method: Method, task: TaskInfo, wanted: str = "") -> str | None:
    """Return the backbone of a cell, or None if the method has none that reads the task's inputs.

    That is the wanted one, else the task's own, else the preferred one for such inputs.
    """
    fitting = [name for name in backbones_of(method) if BACKBONES.get(name).inputs == task.inputs]
    if wanted or task.backbone:
        return (wanted or task.backbone) if (wanted or task.backbone) in fitting else None
    return fitting[0] if fitting else None


def build(method_name: str, task_id: str, backbone: str, seed: int, protocol: Protocol) -> Chain:
    """Describe a cell from prepared metadata alone.

    Raises
    ------
    NotPreparedError: if data that the description needs is not prepared.
    RequestError: if the settings do not fit the method, the task or the backbone.
    """
    method, task = METHODS.get(method_name), get(task_id)
    resolved = protocol.resolve(method, task, backbone)
    spec = BACKBONES.get(backbone).describe(task, resolved.settings, seed)
    precision = resolved.settings.training.precision
    if precision != "float32" and BACKBONES.get(backbone).double:
        raise RequestError(
            f"training.precision: expected float32 for {task.id}, whose {backbone} backbone computes in 64 bits, "
            f"got {precision!r}"
        )
    links = _links(method.pipeline(resolved.settings), spec, precision)
    identity = digest([FORMAT, method.name, task.id, spec.split_checksum, backbone, seed, links[-1].digest])
    cell = Cell(
        identity=identity, method=method.name, task=task.id, backbone=backbone, seed=seed, protocol=protocol.name,
        split_checksum=spec.split_checksum,
    )  # fmt: skip
    return Chain(cell, method, task, spec, resolved, links)


def _links(stages: Sequence[Stage], spec: ProblemSpec, precision: Precision) -> tuple[Link, ...]:
    links: list[Link] = []
    above = ""
    for stage in stages:
        if stage.shared and links and not links[-1].stage.shared:
            raise RequestError(
                f"stage {stage.name!r}: a shared stage cannot follow {links[-1].stage.name!r}, which is not"
            )
        subject = stage.subject(spec)
        stage.validate(subject)
        reduced = [precision] if stage.trains and precision != "float32" else []
        above = digest([ARTIFACT_FORMAT, type(stage).__name__, stage.key(subject), above, *reduced])
        links.append(Link(stage, subject, above))
    return tuple(links)
