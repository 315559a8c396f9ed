"""Texts and labels as NumPy arrays: one blob of UTF-8 with the ends of the texts in it, so that nothing is pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.text.read import Rows
from tasks.text.split import Sizes

Arrays = Mapping[str, NDArray[Any]]


def pack(parts: Sequence[Rows], *, pairs: bool) -> dict[str, NDArray[Any]]:
    """Return ``labels`` (N, 1) and, of the first and second texts, the bytes and the ends of the N texts in them."""
    labels = [label for part in parts for label in part.labels]
    arrays: dict[str, NDArray[Any]] = {"labels": np.array(labels, dtype=np.float64)[:, None]}
    for name in ("first", "second") if pairs else ("first",):
        encoded = [text.encode() for part in parts for text in getattr(part, name)]
        arrays[name] = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        arrays[f"{name}_ends"] = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return arrays


def unpack(arrays: Arrays, name: str) -> tuple[str, ...]:
    """Return the texts called ``name``."""
    content, ends = arrays[name].tobytes(), arrays[f"{name}_ends"].tolist()
    return tuple(content[start:end].decode() for start, end in pairwise([0, *ends]))


def checksum(arrays: Arrays, sizes: Sizes) -> str:
    """Return 16 hexadecimal digits that depend on the arrays and on the rows of each file."""
    content = hashlib.sha256(json.dumps(asdict(sizes), sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        content.update(f"\n{name} {array.shape} {array.dtype.name}\n".encode())
        content.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return content.hexdigest()[:16]


def save(path: Path, arrays: Arrays) -> None:
    """Write the arrays, compressed."""
    with path.open("wb") as file:  # numpy would add an ending to a name
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays; raises what zip, zlib and NumPy raise if the file is damaged."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
