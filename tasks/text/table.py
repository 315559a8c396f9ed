"""A text data set as arrays: read once from its files, checked, counted, and kept in the cache."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, NotPreparedError
from bench.files import digest, home, write_atomic, write_json
from tasks.info import TaskInfo, TextFile
from tasks.sources import forget
from tasks.text import arrays
from tasks.text.checks import check_entry, check_labels, check_rows, count
from tasks.text.files import content_of, locate_file, renew
from tasks.text.read import Rows, lines_of, read_rows
from tasks.text.split import Sizes, Split, split_rows

FORMAT = 1  # raise when the same entry would give another table, computed demo rows included
BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class TextTable:
    """N rows, in the order of the files: training, validation where there is such a file, test. Arrays are read-only.

    Holds the real labels of all rows: hand on what :func:`tasks.sealed.seal` makes of them.
    """

    first: tuple[str, ...]  # N
    second: tuple[str, ...] | None  # N, of pairs
    labels: NDArray[np.float64]  # (N, 1) numbers of classes, or values in the task's units
    train: NDArray[np.int64]  # ascending row numbers
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    parts: Mapping[str, NDArray[np.int64]]  # the rows of each test file
    checksum: str  # of texts, labels and sizes of the files
    split_checksum: str  # of the row numbers
    counts: Mapping[str, int]  # see :func:`describe_table`


def prepare_table(info: TaskInfo, *, mirror: str | None, download: bool) -> None:
    """Fetch, verify, convert and cache a text task and the text of its domain. Does nothing where they are whole.

    A file without ``sha256`` that the mirror now has with another content replaces the one in the cache, and gives
    another table.

    Raises
    ------
    NotPreparedError: if a file is missing, damaged, incomplete or not in its format.
    RequestError: if a label is wrong, the parts allow no training or no score, or the entry contradicts itself.
    """
    assert info.text
    check_entry(info)
    if domain := info.text.domain:
        path = locate_file(info, domain, mirror=mirror, download=download)
        check_rows(info, domain, sum(1 for line in lines_of(domain.file, path) if line.strip()))
    rows = _demo(info) if info.file.startswith("demo:") else {}
    files = {name: file for name, file in _files(info).items() if name not in rows}
    for file in files.values():
        renew(file, mirror=mirror, download=download)
    try:
        load_table(info, 0)
    except NotPreparedError:
        pass
    else:
        sizes: Sizes = table_meta(info)["sizes"]
        found = {"train": sizes.train, "val": sizes.val, **{f"test[{name}]": n for name, n in sizes.test.items()}}
        for name, file in _files(info).items():
            check_rows(info, file, found[name])
        return
    opened = []
    try:
        for name, file in files.items():
            path = locate_file(info, file, mirror=mirror, download=download)
            opened.append(file)
            rows[name] = read_rows(info, file, path)
            check_rows(info, file, len(rows[name].labels))
        check_labels(info, rows)
    except BenchError:
        for file in opened:
            if not file.sha256:
                forget(file.file)  # the next time a mended one is read
        raise
    tests = {name: len(rows[f"test[{name}]"].labels) for name in info.text.test}
    sizes = Sizes(len(rows["train"].labels), len(rows["val"].labels) if "val" in rows else 0, tests)
    packed = arrays.pack(list(rows.values()), pairs=bool(info.text.second))
    write_atomic(_folder(info) / "table.npz", lambda path: arrays.save(path, packed))
    # Last, so that a table with metadata is whole.
    meta = {
        "task": info.id,
        "checksum": arrays.checksum(packed, sizes),
        "sizes": asdict(sizes),
        "counts": count(rows),
    }
    write_json(_folder(info) / "meta.json", meta)


def load_table(info: TaskInfo, seed: int) -> TextTable:
    """Return the table of a task from the cache, split by the seed where the entry says so.

    Raises
    ------
    NotPreparedError: if it is not there or damaged.
    """
    meta, path = table_meta(info), _folder(info) / "table.npz"
    try:
        stored = arrays.read(path)
        whole = arrays.checksum(stored, meta["sizes"]) == meta["checksum"]
        first, second = (arrays.unpack(stored, name) if name in stored else None for name in ("first", "second"))
        labels = stored["labels"]
    except BROKEN as error:
        raise _not_prepared(info, f"{path} is missing or damaged") from error
    if not whole or first is None:
        raise _not_prepared(info, f"{path} does not match its checksum")
    labels.setflags(write=False)
    split = split_rows(meta["sizes"], seed)
    rows = (split.train, split.val, split.test, split.parts)
    return TextTable(first, second, labels, *rows, meta["checksum"], split.checksum, meta["counts"] | _sizes(split))


def describe_table(info: TaskInfo, seed: int) -> Mapping[str, Any]:
    """Return ``checksum``, ``split_checksum`` and ``counts`` of a task's table, without reading the texts.

    Counts: ``rows`` of the files; ``empty_dropped``, of which a text is blank; ``kept``; ``train``, ``val``, ``test``;
    ``repeated_train_texts`` and ``repeated_test_texts``, rows with the texts of an earlier row of the same part;
    ``ambiguous_train_texts``, texts with several labels; ``val_texts_in_train`` (of official parts) and
    ``test_texts_in_train``, rows whose texts are in the official training file too. All repeats are kept.

    Raises
    ------
    NotPreparedError: if it is not in the cache.
    """
    meta = table_meta(info)
    split = split_rows(meta["sizes"], seed)
    return {"checksum": meta["checksum"], "split_checksum": split.checksum, "counts": meta["counts"] | _sizes(split)}


def _sizes(split: Split) -> dict[str, int]:
    several = {f"test[{name}]": len(rows) for name, rows in split.parts.items()} if len(split.parts) > 1 else {}
    return {"train": len(split.train), "val": len(split.val), "test": len(split.test), **several}


def _files(info: TaskInfo) -> dict[str, TextFile]:
    """The files of the labelled parts, by part."""
    assert info.text
    found = {"train": info.text.train, "val": info.text.val}
    found |= {f"test[{name}]": file for name, file in info.text.test.items()}
    return {name: file for name, file in found.items() if file}


def _demo(info: TaskInfo) -> dict[str, Rows]:
    """Rows computed by the demo's grammar, by part."""
    from tasks.text.demo import demo_rows

    assert info.text
    (test,) = info.text.test
    made = demo_rows(info.file.removeprefix("demo:"))
    parts = {"train": made.train, "val": made.val, f"test[{test}]": made.test}
    return {
        name: Rows(
            [made.first[row] for row in numbers],
            [made.second[row] for row in numbers] if made.second else [],
            made.labels[numbers, 0].tolist(),
        )
        for name, numbers in parts.items()
    }


def table_meta(info: TaskInfo) -> dict[str, Any]:
    """Return ``checksum``, the ``sizes`` of the files and the ``counts`` that do not depend on the seed.

    Raises
    ------
    NotPreparedError: if the table is not in the cache.
    """
    assert info.text
    path = _folder(info) / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        found = meta["sizes"]
        # In the order of the entry, in which the rows stand; JSON does not keep it.
        sizes = Sizes(found["train"], found["val"], {name: found["test"][name] for name in info.text.test})
        return {"checksum": str(meta["checksum"]), "counts": dict(meta["counts"]), "sizes": sizes}
    except BROKEN as error:
        raise _not_prepared(info, f"no table at {path}") from error


def _folder(info: TaskInfo) -> Path:
    assert info.text
    files: Sequence[tuple[str, TextFile | None]] = [
        ("train", info.text.train), ("val", info.text.val), *info.text.test.items()
    ]  # fmt: skip
    columns = info.text.model_dump(mode="json", include={"format", "header", "first", "second", "label", "classes"})
    named = [
        [name, file.model_dump(mode="json", include={"file", "header", "first"}) | {"sha256": content_of(file)}]
        for name, file in files
        if file
    ]
    key = digest({"file": info.file, "kind": info.kind, "columns": columns, "files": named, "format": FORMAT})
    return home() / "tables" / f"{info.suite}-{info.name}-{key}"


def _not_prepared(info: TaskInfo, found: str) -> NotPreparedError:
    return NotPreparedError(f"{info.id}: {found}; run: python -m bench prepare --tasks {info.id}")
