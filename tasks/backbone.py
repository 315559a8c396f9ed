"""A backbone: one encoder architecture with the modality it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tasks.info import TaskInfo
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    from tasks.problem import Problem, TestKey

Say = Callable[[str], None]


class Prepare(Protocol):
    """Fetch, verify, convert and cache all that problems of these tasks read. Idempotent.

    ``mirror`` is a folder or address laid out like the public data, tried before each task's own
    address. ``download`` says whether the network may be used; a local mirror never counts as one.
    ``workers`` is the number of processes. ``say`` receives one line per piece of work done.

    Raises NotPreparedError naming the missing or damaged item.
    """

    def __call__(
        self,
        tasks: Sequence[TaskInfo],
        settings: TaskSettings,
        *,
        mirror: str | None,
        download: bool,
        workers: int,
        say: Say,
    ) -> None: ...


class Describe(Protocol):
    """Return the spec of a problem from prepared metadata alone, without torch.

    Raises NotPreparedError naming the command that prepares what is missing.
    """

    def __call__(self, task: TaskInfo, settings: TaskSettings, seed: int) -> ProblemSpec: ...


class Build(Protocol):
    """Load the problem of a spec onto a device; the key opens its test split."""

    def __call__(self, spec: ProblemSpec, settings: TaskSettings, device: str) -> tuple[Problem, TestKey]: ...


class ReadWeights(Protocol):
    """Read weights that others trained into an encoder for the tasks of a prepared suite, to see whether they fit.

    Raises RequestError if they do not.
    """

    def __call__(self, path: Path, suite: str, settings: TaskSettings) -> None: ...


@dataclass(frozen=True)
class Backbone:
    """An entry of the registry ``tasks.BACKBONES``."""

    name: str
    title: str
    modality: str  # "image", "graph", "text" or "analytic"
    inputs: str  # kind of task it reads: "molecule", "text" or "vector"
    prepare: Prepare
    describe: Describe
    build: Build
    usual: bool = False  # reads its inputs unless a cell asks for another; one backbone for each kind of inputs is
    double: bool = False  # computes in 64 bits, whatever precision training is to have
    read_weights: ReadWeights | None = None  # none: no published weights of it are known by name
