"""The cells of a run folder, found or lacking, sorted into protocols, rows and tasks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bench.errors import RequestError
from bench.records import Cell, Failure, Record, scan
from leaderboard.content import Skipped

Key = tuple[str, str, str, str, int]


class PlannedCell(BaseModel):
    """A cell that was asked for."""

    identity: str
    method: str
    task: str
    backbone: str
    seed: int
    protocol: str


class Plan(BaseModel):
    """``plan.json``: the union of all requests on a folder, written by the run."""

    cells: list[PlannedCell] = []
    methods: list[str] = []
    tasks: list[str] = []
    seeds: list[int] = []
    skipped: list[Skipped] = []


@dataclass(frozen=True)
class Slot:
    """One cell: with its record, or why there is none (``None``: not run yet, or still running)."""

    cell: PlannedCell | Record | Failure
    record: Record | None = None
    reason: str | None = None


@dataclass
class Folder:
    """Everything that the report draws on."""

    plan: Plan
    slots: list[Slot] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


def read_folder(folder: Path) -> Folder:
    """Read ``folder`` and choose one outcome for each cell.

    Where ``plan.json`` names another identity for a cell than a record carries, the record is set aside.

    Raises
    ------
    RequestError: if the folder does not exist, its plan is damaged, one cell has two records and the
        plan does not choose, or records of one task and protocol differ in split, metric or direction.
    """
    if not folder.is_dir():
        raise RequestError(f"folder: expected the folder of a run, got {str(folder)!r}, which does not exist")
    plan, found = _read_plan(folder / "plan.json"), scan(folder)
    result = Folder(plan, damaged=[path.relative_to(folder).as_posix() for path in found.damaged])
    planned: dict[Key, set[str]] = defaultdict(set)
    for cell in plan.cells:
        planned[_key(cell)].add(cell.identity)

    records: dict[Key, Record] = {}
    for record in found.records:
        name = record.path(Path()).as_posix()
        if not _has_score(record):
            result.damaged.append(name)
        elif _replaced(record, planned):
            result.set_aside.append(name)
        elif (earlier := records.setdefault(_key(record), record)) is not record:
            raise RequestError(
                f"records: {folder / earlier.path(Path())} and {folder / name} are of one cell but have different "
                "identities (other settings or code); keep one of them"
            )
    failures: dict[Key, Failure] = {}
    for failure in found.failures:
        if _replaced(failure, planned) or _key(failure) in records:
            result.set_aside.append(failure.path(Path(), "failures").as_posix())
        else:
            failures[_key(failure)] = failure
    result.slots = [
        *(Slot(record, record=record) for record in records.values()),
        *(Slot(failure, reason=failure.reason) for failure in failures.values()),
        *(Slot(cell) for key, cell in {_key(cell): cell for cell in plan.cells}.items()
          if key not in records and key not in failures),
    ]  # fmt: skip
    _check_comparable(records.values(), folder)
    return result


def row_labels(slots: Iterable[Slot]) -> dict[tuple[str, str], str]:
    """Name the row of each (method, backbone): the method, unless it ran with two backbones on one task."""
    backbones: dict[tuple[str, str], set[str]] = defaultdict(set)
    pairs = set()
    for slot in slots:
        backbones[slot.cell.method, slot.cell.task].add(slot.cell.backbone)
        pairs.add((slot.cell.method, slot.cell.backbone))
    several = {method for (method, _), names in backbones.items() if len(names) > 1}
    return {(method, name): f"{method} ({name})" if method in several else method for method, name in sorted(pairs)}


def _key(cell: PlannedCell | Cell) -> Key:
    return cell.protocol, cell.method, cell.task, cell.backbone, cell.seed


def _replaced(cell: Cell, planned: dict[Key, set[str]]) -> bool:
    return cell.identity not in planned.get(_key(cell), {cell.identity})


def _has_score(record: Record) -> bool:
    try:
        return isfinite(record.score())
    except KeyError:
        return False


def _read_plan(path: Path) -> Plan:
    if not path.exists():
        return Plan()
    try:
        return Plan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise RequestError(f"{path}: expected the plan of a run, got a damaged file; delete it or run again") from error


def _check_comparable(records: Iterable[Record], folder: Path) -> None:
    first: dict[tuple[str, str], Record] = {}
    for record in records:
        known = first.setdefault((record.protocol, record.task), record)
        for name in ("split_checksum", "metric", "higher_is_better"):
            if getattr(known, name) != getattr(record, name):
                raise RequestError(
                    f"{name}: {folder / known.path(Path())} has {getattr(known, name)!r} and "
                    f"{folder / record.path(Path())} has {getattr(record, name)!r}; scores of one task "
                    "are compared on one split and metric only, so report them from separate folders"
                )
