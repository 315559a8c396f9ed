"""Texts as tokens, tokenised once: flat numbers and offsets in the cache, memory-mapped by all processes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.files import digest, home, write_atomic
from tasks.text.tokenizer import Tokenizer

FORMAT = 2  # raised when the same texts and tokenizer come to mean other files
CHUNK = 10_000  # texts that are tokenised at once


class Tokens:
    """The tokens of N texts, without special ones. Nothing is read before it is asked for."""

    def __init__(self, ids: NDArray[np.uint16] | NDArray[np.int32], ends: NDArray[np.int64]) -> None:
        self._ids, self._ends = ids, ends

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, shape (N,)."""
        return np.diff(self._ends, prepend=0)

    def __getitem__(self, row: int) -> NDArray[np.int64]:
        start = self._ends[row - 1] if row else 0
        return np.asarray(self._ids[start : self._ends[row]], dtype=np.int64)


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokens:
    """Return the tokens of ``texts`` without looking at the cache."""
    ids, lengths = [], []
    for start in range(0, len(texts), CHUNK):
        rows = tokenizer.encode(texts[start : start + CHUNK])
        lengths += [len(row) for row in rows]
        ids.append(np.array([number for row in rows for number in row], dtype=_kind(tokenizer)))
    flat = np.concatenate(ids) if ids else np.empty(0, dtype=_kind(tokenizer))
    return Tokens(flat, np.cumsum(lengths, dtype=np.int64))


def cached_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokens:
    """Return the tokens of ``texts`` from the cache; what is missing or damaged there is made first.

    Processes that make the same files at once write the same bytes, each under a name of its own that is renamed.
    """
    stem = home() / "tokens" / digest([FORMAT, tokenizer.checksum, _checksum(texts)])
    found = _read(stem, tokenizer, len(texts))
    if found is None:
        made = tokenise(tokenizer, texts)
        write_atomic(stem.with_suffix(".ids"), lambda path: made._ids.tofile(path))
        checked = np.array([_check(made._ids, made._ends), *made._ends], dtype=np.int64)
        write_atomic(stem.with_suffix(".ends.npy"), lambda path: _save(path, checked))  # last: it makes them exist
        found = _read(stem, tokenizer, len(texts)) or made
    return found


def _read(stem: Path, tokenizer: Tokenizer, count: int) -> Tokens | None:
    """Return the tokens of the files, or None if they are not there or not whole."""
    kind = _kind(tokenizer)
    try:
        check, ends = np.split(np.load(stem.with_suffix(".ends.npy"), allow_pickle=False), [1])
        size = int(ends[-1]) if len(ends) else 0
        if len(ends) != count or stem.with_suffix(".ids").stat().st_size != size * kind.itemsize:
            return None
        # A file of no bytes cannot be mapped.
        ids = np.memmap(stem.with_suffix(".ids"), dtype=kind, mode="r") if size else np.empty(0, dtype=kind)
        return Tokens(ids, ends) if check.tolist() == [_check(ids, ends)] else None
    except (OSError, ValueError, EOFError):
        return None


def _check(ids: NDArray[np.uint16] | NDArray[np.int32], ends: NDArray[np.int64]) -> int:
    """The CRC-32 of the files' numbers: 0.02 s for a million sentences, so that every opening may ask for it."""
    return zlib.crc32(ends.data, zlib.crc32(ids.data))


def _kind(tokenizer: Tokenizer) -> np.dtype[np.uint16] | np.dtype[np.int32]:
    return np.dtype(np.uint16) if tokenizer.vocabulary <= 2**16 else np.dtype(np.int32)


def _checksum(texts: Sequence[str]) -> str:
    content = hashlib.sha256(np.array([len(text) for text in texts], dtype="<i8").tobytes())
    for text in texts:
        content.update(text.encode())
    return content.hexdigest()


def _save(path: Path, array: NDArray[np.int64]) -> None:
    # np.save adds its ending to a name, so it gets an open file.
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
