"""The cells of one run folder, or of several together, found or lacking; each with its outcome."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bench.errors import RequestError
from bench.records import LARGEST, Cell, Failure, Record, clash, scan
from leaderboard.content import Skipped

Key = tuple[str, str, str, str, int]
ALIKE = ("metric", "higher_is_better", "paired", "primary")  # in the records of one task


class PlannedCell(BaseModel):
    """A cell that was asked for."""

    identity: str
    method: str
    task: str
    backbone: str
    seed: int
    protocol: str
    control_of: str | None = None  # of a null control: the method that it controls


class Plan(BaseModel):
    """``plan.json``: the union of all requests on a folder, written by the run."""

    cells: list[PlannedCell] = []
    methods: list[str] = []
    tasks: list[str] = []
    seeds: list[int] = []
    skipped: list[Skipped] = []

    def identities(self) -> dict[Key, set[str]]:
        """The identities that the requests chose for each cell."""
        found: dict[Key, set[str]] = defaultdict(set)
        for cell in self.cells:
            found[cell_key(cell)].add(cell.identity)
        return found


@dataclass(frozen=True)
class Slot:
    """One cell: with its record, or why there is none (``None``: not run yet, or still running)."""

    cell: PlannedCell | Record | Failure
    record: Record | None = None
    reason: str | None = None
    folder: int = 0  # index of the folder that holds the file
    file: str = ""  # of the record or failure, below that folder; empty where there is none


@dataclass
class Folder:
    """Everything that the report draws on."""

    plan: Plan
    slots: list[Slot] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


def distinct(folders: Sequence[Path]) -> list[Path]:
    """The folders in their order; one that is given twice, under whatever name, once.

    Raises
    ------
    RequestError: if one does not exist or is a file.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            raise RequestError(f"--out: expected the folder of a run, got {str(folder)!r}, which {what}")
        found.setdefault(folder.resolve(), folder)
    return list(found.values())


def read_folders(folders: Sequence[Path]) -> Folder:
    """Read the folders as if they were one, and choose one outcome for each cell.

    The same record in two folders counts once. Where a plan names another identity for a cell than a
    record carries, the record is set aside. Of the failures of one cell the newest counts.

    Raises
    ------
    RequestError: if a folder does not exist, a plan is damaged, two different records carry one identity,
        one cell has two records and the plans do not choose, or records of one task and protocol differ in
        split, metric, direction or primary read-out.
    """
    folders = distinct(folders)
    result = Folder(united([read_plan(folder / "plan.json") for folder in folders]))
    planned = result.plan.identities()
    found, lost, damaged = _outcomes(folders)

    records: dict[Key, Slot] = {}
    for slot in found:
        if replaced(slot.cell, planned):
            result.set_aside.append(_shown(_path(slot, folders), folders))
        elif (earlier := records.setdefault(cell_key(slot.cell), slot)) is not slot:
            raise RequestError(
                f"records: {_path(earlier, folders)} and {_path(slot, folders)} are of one cell but have different "
                "identities (other settings or code); keep one of them"
            )
    failures: dict[Key, Slot] = {}
    for slot in lost:
        if replaced(slot.cell, planned) or cell_key(slot.cell) in records:
            result.set_aside.append(_shown(_path(slot, folders), folders))
        else:
            failures[cell_key(slot.cell)] = slot
    outcomes = records | failures
    lacking = {cell_key(cell): Slot(cell) for cell in result.plan.cells}
    result.slots = [*outcomes.values(), *(slot for key, slot in lacking.items() if key not in outcomes)]
    result.damaged = [_shown(path, folders) for path in damaged]
    _check_comparable(records.values(), folders)
    return result


def read_plan(path: Path) -> Plan:
    """Read one plan; an empty one where there is no file.

    Raises
    ------
    RequestError: if it is damaged.
    """
    try:
        return Plan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Plan()
    except (ValueError, ValidationError, RecursionError, IsADirectoryError) as error:
        raise RequestError(f"{path}: expected the plan of a run, got a damaged file; delete it or run again") from error


def united(plans: Sequence[Plan]) -> Plan:
    """All requests together; a pair that one of them could run is not skipped."""
    cells = {(cell_key(cell), cell.identity): cell for plan in plans for cell in plan.cells}
    run = {(cell.method, cell.task) for cell in cells.values()}
    skipped = {(pair.method, pair.task): pair for plan in plans for pair in plan.skipped}
    return Plan(
        cells=list(cells.values()),
        methods=_once(plan.methods for plan in plans),
        tasks=_once(plan.tasks for plan in plans),
        seeds=sorted({seed for plan in plans for seed in plan.seeds}),
        skipped=[pair for names, pair in skipped.items() if names not in run],
    )


def row_labels(slots: Iterable[Slot]) -> dict[tuple[str, str], str]:
    """Name the row of each (method, backbone): the method, unless it ran with two backbones on one task."""
    backbones: dict[tuple[str, str], set[str]] = defaultdict(set)
    pairs = set()
    for slot in slots:
        backbones[slot.cell.method, slot.cell.task].add(slot.cell.backbone)
        pairs.add((slot.cell.method, slot.cell.backbone))
    several = {method for (method, _), names in backbones.items() if len(names) > 1}
    return {(method, name): f"{method} ({name})" if method in several else method for method, name in sorted(pairs)}


def cell_key(cell: PlannedCell | Cell) -> Key:
    """What names a cell, whatever its settings."""
    return cell.protocol, cell.method, cell.task, cell.backbone, cell.seed


def replaced(cell: PlannedCell | Cell, planned: Mapping[Key, set[str]]) -> bool:
    """Whether the plans name other identities for this cell."""
    return cell.identity not in planned.get(cell_key(cell), {cell.identity})


def split_key(record: Record) -> tuple[str, str, int | None]:
    """Records that agree in it share a split: those of a task, or of a seed where the seed draws the split."""
    return record.protocol, record.task, record.seed if record.paired else None


def usable(score: float) -> bool:
    """Whether a score is finite, and its square too."""
    return abs(score) <= LARGEST


def _outcomes(folders: Sequence[Path]) -> tuple[list[Slot], list[Slot], list[Path]]:
    """Every record, identical ones once; every failure without one, the newest last; the damaged files."""
    records: dict[str, Slot] = {}
    failures: list[tuple[str, Slot]] = []
    damaged: list[Path] = []
    for index, folder in enumerate(folders):
        found = scan(folder)
        damaged += found.damaged
        files = {identity: path.relative_to(folder).as_posix() for identity, path in found.files.items()}
        for record in found.records:
            slot = Slot(record, record, None, index, files[record.identity])
            earlier = records.setdefault(record.identity, slot)
            if earlier.record != record:
                raise clash(_path(earlier, folders), _path(slot, folders))
        for failure in found.failures:
            slot = Slot(failure, None, failure.reason, index, files[failure.identity])
            failures.append((failure.finished, slot))
    newest_last = [slot for _, slot in sorted(failures, key=lambda pair: pair[0])]
    return list(records.values()), [slot for slot in newest_last if slot.cell.identity not in records], damaged


def _check_comparable(slots: Iterable[Slot], folders: Sequence[Path]) -> None:
    first: dict[tuple[object, ...], tuple[Slot, Record]] = {}
    for slot in slots:
        record = slot.record
        assert record
        for names, key in ((ALIKE, (record.protocol, record.task)), (("split_checksum",), split_key(record))):
            earlier, known = first.setdefault((names, *key), (slot, record))
            for name in names:
                if getattr(known, name) != getattr(record, name):
                    raise RequestError(
                        f"{name}: {_path(earlier, folders)} has {getattr(known, name)!r} and "
                        f"{_path(slot, folders)} has {getattr(record, name)!r}; scores of one task "
                        "are compared on one split, metric and read-out only, so report them from separate folders"
                    )


def _path(slot: Slot, folders: Sequence[Path]) -> Path:
    return folders[slot.folder] / slot.file


def _shown(path: Path, folders: Sequence[Path]) -> str:
    """Below the folder, where there is but one."""
    return str(path) if len(folders) > 1 else path.relative_to(folders[0]).as_posix()


def _once(lists: Iterable[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(lists)))
