"""Rows of a text file: tab-separated without quoting, quoted CSV, or JSON lines.

Texts stay as the file has them: a text "None" or "NA" is a text, quotes of a TSV belong to it, and AG News keeps the
backslashes and broken entities of its release, as other loaders serve them.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from bench.errors import NotPreparedError, RequestError, nearest
from tasks.info import TaskInfo, TextFile

Record = tuple[int, list[str]]  # number of the row, from 1 without the header; values of the wanted columns


@dataclass
class Rows:
    """The rows of one file that have text, in its order."""

    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)  # empty where texts are no pairs
    labels: list[float] = field(default_factory=list)  # numbers of classes, or values
    empty: int = 0  # rows that were dropped because a text of theirs is blank


def read_rows(info: TaskInfo, file: TextFile, path: Path) -> Rows:
    """Read a gzip file of a text task.

    Raises
    ------
    NotPreparedError: naming file and row, if it is not in the format that the entry says, or lacks a column.
    RequestError: naming file, row and value, if a label is none of the entry's classes, or not a number.
    """
    assert info.text
    joined = file.first or info.text.first
    wanted = [*joined, *([info.text.second] if info.text.second else []), info.text.label]
    numbers = {name: float(number) for number, name in enumerate(info.text.classes)}
    rows = Rows()
    for number, values in _records(info, file, path, wanted):
        texts = [" ".join(values[: len(joined)]), *values[len(joined) : -1]]
        if not all(text.strip() for text in texts):
            rows.empty += 1
            continue
        rows.labels.append(_label(info, f"{info.id}: {file.file}, row {number}", values[-1], numbers))
        rows.first.append(texts[0])
        rows.second += texts[1:]
    return rows


def lines_of(file: str, path: Path) -> Iterator[str]:
    """Yield the lines of a gzip file; ``file`` is its name in messages.

    Raises
    ------
    NotPreparedError: naming file and line, if it is not UTF-8.
    """
    with gzip.open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield line.removesuffix(b"\n").decode()
            except UnicodeDecodeError as error:
                raise NotPreparedError(
                    f"{file}, line {number:,}: expected UTF-8, got {error.object[error.start :][:4]!r}; "
                    "convert the file, then run the command again"
                ) from error


def _records(info: TaskInfo, file: TextFile, path: Path, wanted: Sequence[str]) -> Iterator[Record]:
    assert info.text
    where, format_ = f"{info.id}: {file.file}", info.text.format
    number = 0
    try:
        # Lines end in LF alone: texts hold other characters that Python takes for line ends. A leading mark is no text.
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="" if format_ == "csv" else "\n") as lines:
            records = _json(where, lines, wanted) if format_ == "jsonl" else _table(info, file, lines, wanted)
            for number, values in records:
                yield number, values
    except (ValueError, csv.Error) as error:  # not UTF-8, not JSON, not CSV
        told = " ".join(str(error).split())
        raise NotPreparedError(f"{where} is not {format_} after row {number}: {told}") from error


def _table(info: TaskInfo, file: TextFile, lines: TextIO, wanted: Sequence[str]) -> Iterator[Record]:
    assert info.text
    where = f"{info.id}: {file.file}"
    plain = (line.removesuffix("\n").split("\t") for line in lines)
    rows: Iterator[list[str]] = csv.reader(lines, strict=True) if info.text.format == "csv" else plain
    header: Sequence[str] = file.header or info.text.header
    if not header:
        header = next(rows, [])
    places = [_place(where, header, name) for name in wanted]
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            shown = _short("".join(row[:1]))
            raise NotPreparedError(f"{where}, row {number}: expected {len(header)} columns, got {len(row)}: {shown}")
        yield number, [row[place] for place in places]


def _json(where: str, lines: TextIO, wanted: Sequence[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        if not isinstance(row, dict):
            raise NotPreparedError(f"{where}, row {number}: expected a JSON object, got {_short(line)}")
        for name in wanted:
            _place(f"{where}, row {number},", list(row), name)
        *texts, label = (row[name] for name in wanted)
        for text in texts:
            if not isinstance(text, str):
                raise NotPreparedError(f"{where}, row {number}: expected a text, got {_short(text)}")
            text.encode()  # raises a ValueError for half a character, which JSON can write and UTF-8 cannot
        yield number, [*texts, label if isinstance(label, str) else json.dumps(label)]


def _place(where: str, header: Sequence[str], name: str) -> int:
    if name not in header:
        near = ", ".join(repr(match) for match in get_close_matches(name, header, n=3, cutoff=0))
        raise NotPreparedError(f"{where} has no column {name!r}; the nearest are {near or 'none'}")
    return header.index(name)


def _label(info: TaskInfo, where: str, written: str, numbers: dict[str, float]) -> float:
    if info.kind == "classes":
        if written not in numbers:
            raise RequestError(
                f"{where}: label {_short(written)} is none of the training labels; {nearest(written, numbers)}"
            )
        return numbers[written]
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(
            f"{where}: expected a number in column {info.text and info.text.label!r}, got {_short(written)}"
        )
    return value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
