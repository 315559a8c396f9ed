"""One JSON file per cell: the result, or the failure. Read by the report, which needs nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from bench.errors import RequestError
from bench.files import write_json

FORMAT = 1
LARGEST = 1e100  # of a score: squares of larger ones overflow


class OtherFormatError(RequestError):
    """A record of another format version: never mixed with ours, never overwritten."""


class DamagedError(RequestError):
    """A file that is no whole record or failure: kept, never trusted."""

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{path}: expected a whole {kind}, got a damaged file ({reason})")
        self.reason = reason


class Trajectory(BaseModel):
    """How the objective weights moved: one row per update, u updates, n objectives."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    objectives: list[str]
    steps: list[int]  # (u,) pretraining steps done when the row was taken
    weights: list[list[float]]  # (u, n) on the simplex
    alignment: list[list[float]]  # (u, n) raw q = v . grad L_i, before any normalisation; may be empty
    losses: list[list[float]]  # (u, n)
    gradient_norm: list[float] = []  # (u,) |v|, the validation gradient's norm on the encoder; may be empty

    @model_validator(mode="after")
    def _same_sizes(self) -> Trajectory:
        if len(self.weights) != len(self.steps) or any(len(row) != len(self.objectives) for row in self.weights):
            raise ValueError("weights: expected one row a step and one number an objective")
        return self


class LearningCurve(BaseModel):
    """The validation scores that the last stage chose its model from, e of them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    unit: Literal["epoch", "step"]
    done: list[int]  # (e,) epochs or steps done at each score; 0 is a model handed on by the stage before
    validation: list[float]  # (e,) the task's metric, metric units

    @model_validator(mode="after")
    def _same_sizes(self) -> LearningCurve:
        if len(self.validation) != len(self.done):
            raise ValueError("validation: expected one score a point")
        return self


class Cell(BaseModel):
    """What names a cell: shared by its record and its failure."""

    # NaN is refused when a record is made and when one is read, so that no table ever holds it silently.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: int = FORMAT
    identity: str  # hash of what matters; never paths, hosts or worker counts
    method: str
    task: str  # "suite:name"
    backbone: str
    seed: int
    protocol: str
    split_checksum: str

    def path(self, folder: Path, kind: Literal["records", "failures"] = "records") -> Path:
        """``folder/records/METHOD/TASK/seed-K-ID.json``, where a person finds it by looking."""
        return folder / kind / self.method / self.task.replace(":", "-") / f"seed-{self.seed}-{self.identity}.json"


class Record(Cell):
    """The result of one cell."""

    metric: str
    higher_is_better: bool
    marks: bool  # whether the protocol supports significance marks at all (smoke does not)
    paired: bool = False  # whether the seed draws the split too, so that scores are compared in pairs by seed
    start: str = ""  # where the weights come from that the first stage of all hands on
    control_of: str | None = None  # for a null control: the method whose weights it is the null of
    published: bool = True  # whether a paper evaluates the method on the modality of the backbone; else ours
    scores: dict[str, dict[str, dict[str, float]]]  # read-out -> "val" or "test" -> metric -> value, metric units
    primary: str  # the read-out that tables show
    chosen_step: int  # fine-tuning epoch of the primary read-out
    trajectory: Trajectory | None = None
    learning_curve: LearningCurve | None = None  # of the last stage
    budget: dict[str, int] | None = None  # of a search: trials; pretraining_steps, finetuning_epochs (at most) of all
    seconds: dict[str, float]  # stage -> wall seconds spent in this cell
    shared_seconds: dict[str, float]  # stage -> wall seconds of the shared artifact, paid once
    micro_batches: int = 1  # parts in which the encoder went through batches after memory ran out: the most of a stage
    peak_memory_bytes: int
    examples_per_second: float
    settings: dict[str, Any]  # the resolved protocol values that this cell used
    data: dict[str, Any]  # counts and checksums: rows kept and dropped, corpus molecules dropped
    command: str | None = None  # that runs this cell again, at this commit and with the same data
    provenance: dict[str, Any]  # commit, dirty flag, package versions, device, finish time

    @model_validator(mode="after")
    def _scored(self) -> Record:
        score = self.scores.get(self.primary, {}).get("test", {}).get(self.metric)
        if score is None or abs(score) > LARGEST:
            kept = "no" if score is None else f"{score:.3g} is too large for a"
            raise ValueError(f"{kept} test {self.metric} of the primary read-out {self.primary!r}")
        return self

    def score(self, split: str = "test") -> float:
        """The primary read-out's value of the task's metric."""
        return self.scores[self.primary][split][self.metric]


class Failure(Cell):
    """Why a cell has no record. Kept until the cell succeeds."""

    reason: str  # one line
    traceback: str
    attempts: int
    finished: str  # ISO time


def write(folder: Path, result: Record | Failure) -> Path:
    """Write a record or failure below ``folder`` atomically; a record removes its cell's failure."""
    kind: Literal["records", "failures"] = "records" if isinstance(result, Record) else "failures"
    path = result.path(folder, kind)
    write_json(path, result.model_dump())
    if isinstance(result, Record):
        result.path(folder, "failures").unlink(missing_ok=True)
    return path


def read(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    DamagedError: if the file is no whole record.
    OtherFormatError: if it is of another format version.
    OSError: if it cannot be read.
    """
    return _read(path, Record)


def read_failure(path: Path) -> Failure:
    """Read one failure; raises as :func:`read`."""
    return _read(path, Failure)


@dataclass
class Scan:
    """What a run folder holds."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)  # files that are no whole record; kept, never trusted
    files: dict[str, Path] = field(default_factory=dict)  # identity of a record or failure above -> its file


def scan(folder: Path) -> Scan:
    """Read every record and failure below ``folder``, in the order of their paths.

    Raises
    ------
    OtherFormatError: if any file has another format version.
    RequestError: if two different records carry one identity.
    """
    found = Scan()
    seen: dict[str, Record] = {}
    for path in sorted((folder / "records").glob("*/*/*.json")):
        record = _whole(path, Record, found)
        if record is None:
            continue
        if record.identity in seen:
            if seen[record.identity] != record:
                raise clash(found.files[record.identity], path)
            continue
        seen[record.identity], found.files[record.identity] = record, path
        found.records.append(record)
    for path in sorted((folder / "failures").glob("*/*/*.json")):
        failure = _whole(path, Failure, found)
        if failure and failure.identity not in seen:
            found.failures.append(failure)
            found.files[failure.identity] = path
    return found


def clash(first: Path, second: Path) -> RequestError:
    """The error of two different records that carry one identity."""
    return RequestError(f"records: {first} and {second} differ but carry one identity; keep one of them")


AnyCell = TypeVar("AnyCell", Record, Failure)


def _whole(path: Path, kind: type[AnyCell], found: Scan) -> AnyCell | None:
    """Read one file; None if it is damaged, which ``found`` notes, or gone, as a failure is once its cell succeeds."""
    try:
        return _read(path, kind)
    except FileNotFoundError:
        return None
    except DamagedError:
        found.damaged.append(path)
        return None


def _read(path: Path, kind: type[AnyCell]) -> AnyCell:
    name = kind.__name__.lower()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError as error:
        raise DamagedError(path, name, "it is a folder") from error
    except (ValueError, RecursionError) as error:
        empty = isinstance(error, json.JSONDecodeError) and not error.doc
        raise DamagedError(path, name, "0 bytes" if empty else "no JSON") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found is None:  # never taken for ours by default
        raise DamagedError(path, name, "no format version")
    if found != FORMAT:
        raise OtherFormatError(
            f"{path}: expected record format {FORMAT}, got {found!r}; "
            "use another --out, or the version of the harness that wrote it"
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DamagedError(path, name, f"{where}: {first['msg']}" if where else first["msg"]) from error
