"""Rows of a molecule data set: a CSV file or computed ones, parsed once each, with counts of what was dropped."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotPreparedError, RequestError
from tasks.info import TaskInfo
from tasks.molecules.scaffold import scaffold_of
from tasks.sources import locate

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rows:
    """The usable rows, N of them with t targets, in the order of the file."""

    smiles: list[str]  # canonical isomeric
    scaffolds: list[str]
    labels: NDArray[np.float64]  # (N, t)
    counts: dict[str, int]  # rows, duplicates_dropped, unparsable


def read_rows(info: TaskInfo, *, mirror: str | None, download: bool) -> Rows:
    """Read the rows of a task, without those that repeat a SMILES string (if its entry says so) or do not parse.

    Raises
    ------
    NotPreparedError: if the file is missing, damaged, or lacks a column.
    RequestError: if a label is not a number, or not 0 or 1 for classes.
    """
    if info.file.startswith("demo:"):
        from tasks.molecules.demo import demo_rows

        raw, values = zip(*demo_rows(info.file.removeprefix("demo:")), strict=True)
        labels = np.array(values, dtype=np.float64)
    else:
        path = locate(info.file, sha256=info.sha256, url=info.url, mirror=mirror, download=download)
        raw, labels = _read_csv(info, path)
    counts = {"rows": len(raw), "duplicates_dropped": 0}
    order = list(range(len(raw)))
    if info.duplicates == "first":
        first: dict[str, int] = {}
        for index, smiles in enumerate(raw):
            first.setdefault(smiles, index)
        order = list(first.values())
        counts["duplicates_dropped"] = len(raw) - len(order)
    kept, canonical, scaffolds = _parse(raw, order)
    counts["unparsable"] = len(order) - len(kept)
    return Rows(canonical, scaffolds, labels[kept], counts)


def _parse(raw: tuple[str, ...], order: list[int]) -> tuple[list[int], list[str], list[str]]:
    from rdkit import Chem, rdBase

    kept, smiles, scaffolds = [], [], []
    with rdBase.BlockLogs():  # otherwise RDKit writes lines to stderr for each row that does not parse
        for index in order:
            mol = Chem.MolFromSmiles(raw[index])
            if mol is not None and mol.GetNumAtoms():
                kept.append(index)
                smiles.append(Chem.MolToSmiles(mol))
                scaffolds.append(scaffold_of(mol))
    return kept, smiles, scaffolds


def _read_csv(info: TaskInfo, path: Path) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    import pandas as pd

    try:
        columns = list(pd.read_csv(path, compression="gzip", nrows=0).columns)
        for name in (info.smiles, *info.targets):
            if name not in columns:
                near = ", ".join(repr(match) for match in get_close_matches(name, columns, n=3, cutoff=0))
                raise NotPreparedError(f"{info.id}: {info.file} has no column {name!r}; the nearest are {near}")
        frame = pd.read_csv(
            path,
            compression="gzip",
            usecols=list({info.smiles, *info.targets}),
            dtype={info.smiles: str},
            low_memory=False,
        )
    except ValueError as error:  # no columns, lines of different lengths, not text
        raise NotPreparedError(f"{info.id}: {info.file} is not a CSV file: {' '.join(str(error).split())}") from error
    labels = np.column_stack([_numbers(info, frame[name]) for name in info.targets])
    return tuple(frame[info.smiles].fillna("")), labels


def _numbers(info: TaskInfo, column: pd.Series) -> NDArray[np.float64]:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.isinf(values) | (np.isnan(values) & column.notna().to_numpy())
    expected = "a number"
    if info.kind == "classification":
        wrong |= ~np.isnan(values) & (values != 0) & (values != 1)
        expected = "0, 1 or blank"
    if wrong.any():
        row = int(np.argmax(wrong))
        where = f"{info.id}: {info.file}, column {column.name!r}, row {row + 1}"
        raise RequestError(f"{where}: expected {expected}, got {str(column.iloc[row])!r}")
    return values
