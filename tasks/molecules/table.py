"""A molecule data set as arrays: read once from its CSV, cleaned, split, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotPreparedError, RequestError
from bench.files import digest, home, write_atomic, write_json
from tasks.info import SuiteInfo, TaskInfo
from tasks.sources import checksum, locate_newest

if TYPE_CHECKING:
    from tasks.molecules.read import Rows

FORMAT = 1  # raise when the same entry would give another table, computed demo rows included
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Table:
    """N molecules with t targets each, in the order of the file. The arrays are read-only.

    Holds the real labels of all rows: hand on what :func:`tasks.sealed.seal` makes of them.
    """

    smiles: tuple[str, ...]  # canonical isomeric, N
    labels: NDArray[np.float64]  # (N, t) in the task's units or 0/1, NaN where missing
    train: NDArray[np.int64]  # ascending row numbers
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    checksum: str  # of SMILES and labels
    split_checksum: str  # of the three index lists
    counts: Mapping[str, int]  # rows, unparsable, duplicates_dropped, kept, train, val, test, missing_labels


def molecule_tasks(suite: SuiteInfo) -> list[TaskInfo]:
    """Return the tasks of a suite that have a table here: a suite may hold tasks of other inputs beside them."""
    return [task for task in suite.tasks if task.inputs == "molecule"]


def prepared_tasks(suite: SuiteInfo) -> list[TaskInfo]:
    """Return the molecule tasks of a suite whose tables are in the cache: its corpus is kept apart from those."""
    return [task for task in molecule_tasks(suite) if has_table(task)]


def has_table(info: TaskInfo) -> bool:
    """Whether the cache has the table of a task, which may be damaged."""
    try:
        load_meta(info)
        return True
    except NotPreparedError:
        return False


def prepare_table(info: TaskInfo, *, mirror: str | None, download: bool) -> Table:
    """Return the table of a task, making it if the cache has no sound one.

    A file without ``sha256`` that the mirror now has with another content replaces the one in the cache, and gives
    another table.

    Raises
    ------
    NotPreparedError: if the file is missing, damaged, or lacks a column.
    RequestError: if a label is not a number (0 or 1 for classes), or a part of the split is empty.
    """
    if not (info.sha256 or info.file.startswith("demo:")):
        locate_newest(info.file, mirror=mirror, download=download)
    try:
        return load_table(info)
    except NotPreparedError:
        pass
    from tasks.molecules.read import read_rows

    table = _split(info, read_rows(info, mirror=mirror, download=download))
    folder = _folder(info)
    write_atomic(folder / "table.npz", lambda temporary: _write(temporary, table))
    # Last, so that a table with metadata is whole.
    meta = {"task": info.id, "checksum": table.checksum, "split_checksum": table.split_checksum}
    facts = {"counts": dict(table.counts), "fault": _fault(info, table), "rdkit": version("rdkit"), "format": FORMAT}
    write_json(folder / "meta.json", meta | facts)
    return table


def load_table(info: TaskInfo) -> Table:
    """Return the table of a task from the cache.

    Raises
    ------
    NotPreparedError: if it is not there or damaged.
    """
    meta = load_meta(info)
    path = _folder(info) / "table.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            smiles = tuple(stored["smiles"].tobytes().decode().split("\n"))
            labels = _read_only(stored["labels"])
            train, val, test = parts = [_read_only(stored[name]) for name in PARTS]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _not_prepared(info, f"{path} is missing or damaged") from error
    if _checksum(smiles, labels) != meta["checksum"] or _split_checksum(parts) != meta["split_checksum"]:
        raise _not_prepared(info, f"{path} does not match its checksum")
    return Table(smiles, labels, train, val, test, meta["checksum"], meta["split_checksum"], meta["counts"])


def usable_meta(info: TaskInfo) -> Mapping[str, Any]:
    """Return :func:`load_meta` of a task that can be trained on and scored.

    Raises
    ------
    NotPreparedError: if it is not in the cache.
    RequestError: if the labels of a part of the split allow no training or no score.
    """
    meta = load_meta(info)
    if fault := meta.get("fault"):
        raise RequestError(f"{info.id}: {fault}")
    return meta


def load_meta(info: TaskInfo) -> Mapping[str, Any]:
    """Return ``checksum``, ``split_checksum`` and ``counts`` of a task's table, without reading the table.

    Raises
    ------
    NotPreparedError: if it is not in the cache.
    """
    path = _folder(info) / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _not_prepared(info, f"no table at {path}") from error
    if not isinstance(meta, dict) or not {"checksum", "split_checksum", "counts"} <= meta.keys():
        raise _not_prepared(info, f"{path} is damaged")
    return meta


def _split(info: TaskInfo, rows: Rows) -> Table:
    from tasks.molecules.scaffold import scaffold_split

    parts = [_read_only(np.array(part, dtype=np.int64)) for part in scaffold_split(rows.scaffolds)]
    train, val, test = parts
    sizes = {name: len(part) for name, part in zip(PARTS, parts, strict=True)}
    if not all(sizes.values()):
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise RequestError(f"{info.id}: expected molecules in all parts of the {info.split} split, got {shown}")
    labels = _read_only(np.where(np.isnan(rows.labels), np.nan, rows.labels))  # one bit pattern of NaN: it is hashed
    counts = rows.counts | {"kept": len(rows.smiles), **sizes, "missing_labels": int(np.isnan(labels).sum())}
    smiles = tuple(rows.smiles)
    return Table(smiles, labels, train, val, test, _checksum(smiles, labels), _split_checksum(parts), counts)


def _fault(info: TaskInfo, table: Table) -> str | None:
    """Say what the labels lack for training and for a score on validation and test, or return None."""
    train = table.labels[table.train]
    if np.isnan(train).all():
        return f"expected labels in the training part, got none for its {len(train)} molecules"
    for name, rows in (("validation", table.val), ("test", table.test)):
        labels = table.labels[rows]
        if info.kind == "classification":
            # One target is enough: the metric is the mean over the targets that have both classes.
            if not ((labels == 0).any(axis=0) & (labels == 1).any(axis=0)).any():
                found = " and ".join(f"{int((labels == value).sum())} labels {value}" for value in (0, 1))
                return f"expected a target with both classes in the {name} part, got none of {info.outputs} ({found})"
            continue
        present = ~np.isnan(labels).all(axis=0)
        if not present.any():
            return f"expected labels in the {name} part, got none for its {len(labels)} molecules"
        for column in np.flatnonzero(present):
            known = train[~np.isnan(train[:, column]), column]
            if len(set(known)) < 2:
                target = info.targets[column]
                return f"expected training labels of {target!r} that vary, got {len(set(known))} different values"
    return None


def _folder(info: TaskInfo) -> Path:
    matters = info.model_dump(
        mode="json", include={"file", "sha256", "smiles", "targets", "kind", "duplicates", "split"}
    )
    matters["sha256"] = info.sha256 or checksum(info.file)
    key = digest({"entry": matters, "rdkit": version("rdkit"), "format": FORMAT})
    return home() / "tables" / f"{info.suite}-{info.name}-{key}"


def _write(path: Path, table: Table) -> None:
    smiles = np.frombuffer("\n".join(table.smiles).encode(), dtype=np.uint8)
    parts = {name: getattr(table, name) for name in PARTS}
    with path.open("wb") as file:  # numpy would add an ending to a name
        np.savez_compressed(file, smiles=smiles, labels=table.labels, **parts)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def _checksum(smiles: tuple[str, ...], labels: NDArray[np.float64]) -> str:
    content = hashlib.sha256("\n".join(smiles).encode())
    content.update(f"\n{labels.shape}\n".encode())
    content.update(np.ascontiguousarray(labels, dtype="<f8").tobytes())
    return content.hexdigest()[:16]


def _split_checksum(parts: list[NDArray[Any]]) -> str:
    return digest({name: part.tolist() for name, part in zip(PARTS, parts, strict=True)})


def _not_prepared(info: TaskInfo, found: str) -> NotPreparedError:
    return NotPreparedError(f"{info.id}: {found}; run: python -m bench prepare --tasks {info.id}")
