"""A stage: one training phase that takes weights and returns weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.problem import Problem
    from tasks.spec import ProblemSpec

State = Mapping[str, "Tensor"]
Weights = Mapping[str, State]  # "encoder" and "heads", each a state dict


class Model(NamedTuple):
    """A read-out: an encoder and a downstream head that the cell scores."""

    encoder: State
    head: State


@dataclass(frozen=True)
class StageResult:
    """What a stage leaves behind.

    ``models`` maps the name of a read-out to its model. ``log`` holds JSON values; its keys
    "trajectory", "learning_curve" and "chosen_step" go into the record.
    """

    weights: Weights
    models: Mapping[str, Model] = field(default_factory=dict)
    log: Mapping[str, Any] = field(default_factory=dict)


class Stateful(Protocol):
    """Anything that can be saved in mid-run: modules, optimisers, rules, logs."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


class Context(Protocol):
    """What a stage may ask of the run."""

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        """Yield the steps that are left of ``total``.

        Before the first one, ``parts`` are restored from the last checkpoint if there is one; after a
        step they may be saved. ``examples`` is the number of examples one step trains on.
        """


class Uninterrupted:
    """A context that saves nothing: for a stage inside a step of another one, and for scripts."""

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        """Yield all steps."""
        return iter(range(total))


class Stage(ABC):
    """One training phase.

    ``shared`` stages have a key that names no task, so they run once for all tasks of a suite.
    """

    name: str

    @property
    @abstractmethod
    def shared(self) -> bool:
        """Whether the key names no task."""

    @property
    def trains(self) -> bool:
        """Whether the output depends on the precision of training passes."""
        return True

    def subject(self, spec: ProblemSpec) -> ProblemSpec:
        """Return the spec of the problem that the stage trains on: by default the cell's own."""
        return spec

    def check(self) -> None:  # noqa: B027 - most stages need nothing but data
        """Raise NotPreparedError if something beside the data is missing; asked before any data is prepared."""

    def validate(self, spec: ProblemSpec) -> None:  # noqa: B027 - most stages run on every problem
        """Raise RequestError if the stage cannot run on this problem; asked while planning."""

    @abstractmethod
    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        """Return everything that determines the output beside the incoming weights, as JSON values."""

    @abstractmethod
    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        """Train from ``start`` and return the new weights."""


def corpus_key(spec: ProblemSpec) -> dict[str, Any]:
    """The part of a key that says which encoder sees which unlabelled examples."""
    return {
        "backbone": spec.backbone,
        "encoder": dict(spec.encoder),
        "corpus": dict(spec.corpus),
        "objectives": list(spec.objectives),
    }


def source_key(spec: ProblemSpec, source: str) -> dict[str, Any]:
    """:func:`corpus_key`, and where the unlabelled examples are those of the task, whose they are."""
    return corpus_key(spec) | (inputs_key(spec) if source == "task" else {})


def task_key(spec: ProblemSpec) -> dict[str, Any]:
    """The part of a key that says which labelled task is trained on."""
    return {"task": spec.task.id, "split": spec.split_checksum, "labels": dict(spec.labels)}


def inputs_key(spec: ProblemSpec) -> dict[str, Any]:
    """The part of a key that says whose training inputs are read, without their labels."""
    return {"task": spec.task.id, "split": spec.split_checksum} | ({"views": dict(spec.own)} if spec.own else {})
