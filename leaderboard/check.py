"""Whether the records of one folder, or of several together, agree: every fault is named, not the first alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from bench.errors import RequestError
from bench.records import Cell, DamagedError, Failure, OtherFormatError, Record, read, read_failure
from leaderboard.grid import ALIKE, Plan, cell_key, distinct, read_plan, replaced, split_key, united
from leaderboard.settings import odd_ones
from leaderboard.tables.words import one_line

Kind = Literal[
    "cell", "damaged", "foreign", "format", "identity", "metric", "place", "plan", "protocol", "replaced", "score",
    "seeds", "split", "weights",
]  # fmt: skip
SHOWN = 6  # files named in a line
OWN = ("method", "others")  # settings that may differ between methods
ON_SIMPLEX = 1e-6  # by how much weights may miss it


@dataclass(frozen=True)
class Problem:
    """What is wrong with one file, or between several."""

    kind: Kind
    message: str
    files: tuple[Path, ...] = ()
    note: bool = False  # worth knowing, and handled by the report

    def __str__(self) -> str:
        """One line, without control characters."""
        files = [str(path) for path in self.files[:SHOWN]]
        if len(self.files) > SHOWN:
            files.append(f"and {len(self.files) - SHOWN} more")
        kind = f"note, {self.kind}" if self.note else self.kind
        text = ": ".join([kind, *([", ".join(files)] if files else []), self.message])
        return one_line(text)


@dataclass(frozen=True)
class Checked:
    """How many whole records there are, and what is wrong: first what makes records inconsistent, then notes."""

    records: int
    problems: list[Problem]

    @property
    def sound(self) -> bool:
        """Whether there is nothing but notes."""
        return all(problem.note for problem in self.problems)


File = tuple[Path, Record]


def check(folders: Sequence[Path]) -> Checked:
    """Read every file below ``folders`` and compare the records.

    Raises
    ------
    RequestError: if a folder does not exist, or none of them holds a file of a run.
    """
    folders = distinct(folders)
    problems: list[Problem] = []
    plans: list[Plan] = []
    files: list[File] = []
    for folder in folders:
        try:
            plans.append(read_plan(folder / "plan.json"))
        except (RequestError, OSError):
            problems.append(Problem("plan", "no whole plan; delete it or run again", (folder / "plan.json",)))
        before = len(files) + len(problems)
        files += _records(folder, problems)
        if len(folders) > 1 and len(files) + len(problems) == before:
            problems.append(Problem("foreign", "this folder holds no records", (folder,), note=True))
    if not files and all(problem.note for problem in problems):
        raise RequestError(f"--out: expected the folder of a run, got {', '.join(map(str, folders))}, without a record")
    clashing = list(_identities(files))
    files = _once(files)
    planned = united(plans).identities()
    current = [(path, record) for path, record in files if not replaced(record, planned)]
    problems += chain(
        clashing, _cells(current), _comparable(current), _settings(current), _single(current),
        _replaced(files, planned), _shared_settings(current), _seeds(current),
    )  # fmt: skip
    return Checked(len(files), sorted(problems, key=lambda problem: problem.note))


def _records(folder: Path, problems: list[Problem]) -> list[File]:
    """Read what lies below ``folder``, add what cannot be read to ``problems``."""
    found: list[File] = []
    for kind, reader in (("records", read), ("failures", read_failure)):
        for path in sorted((folder / kind).rglob("*")):
            depth = len(path.relative_to(folder / kind).parts)
            if path.name.startswith(".") or (path.is_dir() and (depth != 3 or path.suffix != ".json")):
                continue  # being written, or a method's or a task's folder
            if path.suffix != ".json":
                what = "set aside as damaged" if path.suffix == ".damaged" else "no record"
                problems.append(Problem("foreign", f"{what}, not read", (path,), note=True))
                continue
            cell = _read(path, reader, problems)
            if cell is None:
                continue
            if path != (place := _place(cell, folder)):
                problems.append(Problem("place", f"belongs at {place}", (path,)))
            if isinstance(cell, Record):
                found.append((path, cell))
    return found


def _read(path: Path, reader: Callable[[Path], Record | Failure], problems: list[Problem]) -> Record | Failure | None:
    try:
        return reader(path)
    except FileNotFoundError:
        return None  # as a failure goes away when its cell succeeds
    except DamagedError as error:
        problems.append(Problem("damaged", error.reason, (path,)))
    except OtherFormatError as error:
        problems.append(Problem("format", str(error).partition(": ")[2].partition(";")[0], (path,)))
    except OSError as error:
        problems.append(Problem("damaged", f"cannot be read ({error.strerror or error})", (path,)))
    return None


def _place(cell: Cell, folder: Path) -> Path:
    return cell.path(folder, "records" if isinstance(cell, Record) else "failures")


def _identities(files: Sequence[File]) -> Iterator[Problem]:
    for identity, group in _grouped(files, lambda record: record.identity).items():
        others = [(path, record) for path, record in group if record != group[0][1]]
        if others:
            pairs = [(record.model_dump(), group[0][1].model_dump()) for _, record in others]
            fields = sorted({name for one, other in pairs for name in one if one[name] != other[name]})
            message = f"different records carry {identity}; they differ in {', '.join(fields)}"
            yield Problem("identity", message, (group[0][0], *(path for path, _ in others)))


def _once(files: Sequence[File]) -> list[File]:
    """Without what is the same record as one before, as merged folders have it."""
    found: list[File] = []
    seen: dict[str, list[Record]] = defaultdict(list)
    for path, record in files:
        if record not in seen[record.identity]:
            seen[record.identity].append(record)
            found.append((path, record))
    return found


def _cells(files: Sequence[File]) -> Iterator[Problem]:
    for group in _grouped(files, cell_key).values():
        first: dict[str, Path] = {}
        for path, record in group:
            first.setdefault(record.identity, path)
        if len(first) > 1:
            cell = f"{record.method} on {_task(record)} seed {record.seed}"
            message = f"{cell} has {len(first)} records of different identities (other settings or code)"
            yield Problem("cell", message, tuple(first.values()))


def _comparable(files: Sequence[File]) -> Iterator[Problem]:
    for group in _grouped(files, lambda record: (record.protocol, record.task)).values():
        for name in ALIKE:
            yield from _odd("metric", f"{_task(group[0][1])}: {name}", group, attrgetter(name))
    for group in _grouped(files, split_key).values():
        yield from _odd("split", f"{_task(group[0][1])}: split checksum", group, attrgetter("split_checksum"))


def _settings(files: Sequence[File]) -> Iterator[Problem]:
    """Mixed content under one protocol's name: of a method on a task, and of the protocol's right to marks."""
    for group in _grouped(files, lambda record: cell_key(record)[:4]).values():
        yield from _differing(group, f"{group[0][1].method} on {_task(group[0][1])}", lambda name: True, note=False)
    for protocol, group in _grouped(files, lambda record: record.protocol).items():
        yield from _odd("protocol", f"{protocol}: marks", group, attrgetter("marks"))


def _shared_settings(files: Sequence[File]) -> Iterator[Problem]:
    """Settings that methods share, where they differ between methods; an override by method may mean that."""
    for group in _grouped(files, lambda record: (record.protocol, record.task, record.backbone)).values():
        one_each = [same[0] for same in _grouped(group, lambda record: record.method).values()]
        yield from _differing(one_each, _task(group[0][1]), lambda name: name.split(".")[0] not in OWN, note=True)


def _single(files: Sequence[File]) -> Iterator[Problem]:
    for path, record in files:
        if record.trajectory:
            for step, row in zip(record.trajectory.steps, record.trajectory.weights, strict=True):
                if abs(sum(row) - 1) > ON_SIMPLEX or min(row, default=0) < -ON_SIMPLEX:
                    at = f"at step {step} they sum to {sum(row):.6g}, the smallest is {min(row, default=0):.6g}"
                    yield Problem("weights", f"weights leave the simplex: {at}", (path,))
                    break


def _replaced(files: Sequence[File], planned: Mapping[Any, set[str]]) -> Iterator[Problem]:
    old = [(path, record) for path, record in files if replaced(record, planned)]
    for group in _grouped(old, lambda record: (record.protocol, record.method, record.task)).values():
        message = f"{group[0][1].method} on {_task(group[0][1])}: the plan has other identities for these cells"
        yield Problem("replaced", message, tuple(path for path, _ in group), note=True)


def _seeds(files: Sequence[File]) -> Iterator[Problem]:
    for group in _grouped(files, lambda record: (record.protocol, record.task)).values():
        seeds: dict[str, set[int]] = defaultdict(set)
        for _, record in group:
            seeds[record.method].add(record.seed)
        union = set().union(*seeds.values())
        lacking = [
            f"{method} lacks {', '.join(map(str, sorted(union - own)))}"
            for method, own in seeds.items()
            if own != union
        ]
        if lacking:
            yield Problem("seeds", f"{_task(group[0][1])}: of {len(union)} seeds {'; '.join(lacking)}", note=True)


def _differing(group: Sequence[File], where: str, counts: Callable[[str], bool], note: bool) -> Iterator[Problem]:
    """One problem for each content of ``settings`` that is not the commonest, with the first setting that differs."""
    for odd in odd_ones([record for _, record in group], counts):
        values = f"{odd.value!r} here, {odd.usual!r} in {_many([group[place] for place in odd.common])}"
        message = f"{where}: {odd.name} is {values}{odd.others}"
        yield Problem("protocol", message, tuple(group[place][0] for place in odd.places), note)


def _odd(kind: Kind, what: str, group: Sequence[File], value: Callable[[Record], Hashable]) -> Iterator[Problem]:
    """One problem for each value that is not the commonest."""
    common, *others = sorted(_grouped(group, value).values(), key=len, reverse=True)
    for other in others:
        message = f"{what} is {value(other[0][1])!r} here, {value(common[0][1])!r} in {_many(common)}"
        yield Problem(kind, message, tuple(path for path, _ in other))


def _grouped(files: Iterable[File], key: Callable[[Record], Any]) -> dict[Any, list[File]]:
    found: dict[Any, list[File]] = defaultdict(list)
    for path, record in files:
        found[key(record)].append((path, record))
    return found


def _many(files: Sequence[File]) -> str:
    return f"{files[0][0]}" if len(files) == 1 else f"{len(files)} records such as {files[0][0]}"


def _task(record: Record) -> str:
    return f"{record.task} ({record.protocol})"
