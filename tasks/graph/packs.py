"""Arrays computed once for each molecule, then memory-mapped by all processes.

A folder holds packs. A pack is one file: the sorted digests of SMILES strings, arrays that hold what the molecules have
one after another, and a checksum. A file is written whole or not at all; of two processes that compute the same
molecules at once, the one that ends last puts its pack in the place of the other's.

Letters: m molecules of a pack, k rows of an array.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotPreparedError
from bench.files import write_atomic
from tasks.sources import preparing

Arrays = Mapping[str, NDArray[Any]]
Integers = NDArray[np.int64]
DIGEST = 16  # bytes


@dataclass(frozen=True)
class Pack:
    """An open pack: digests (m,), and its arrays by name."""

    digests: NDArray[np.bytes_]
    arrays: Arrays


@dataclass(frozen=True)
class Places:
    """Where the molecules of a list lie: the number of the pack of each, -1 if none holds it, and its place there."""

    packs: Sequence[Pack]
    pack_of: Integers
    position: Integers

    def each(self, name: str) -> NDArray[Any]:
        """Return the row of each molecule of an array that has one for each."""
        return self.take(name, self.pack_of, self.position)

    def spans(self, name: str) -> tuple[Integers, Integers]:
        """Return where each molecule's rows start in its pack, and how many there are, from the ends (m,) in ``name``.

        The ends are counted from the start of the pack, and each molecule starts where the one before it ends.
        """
        stop = self.each(name).astype(np.int64)
        before = self.take(name, self.pack_of, np.maximum(self.position - 1, 0)).astype(np.int64)
        start = np.where(self.position > 0, before, 0)
        return start, stop - start

    def take(self, name: str, pack_of: Integers, at: Integers) -> NDArray[Any]:
        """Return k rows of the array ``name``: those at ``at`` (k,) of the packs ``pack_of`` (k,)."""
        like = self.packs[0].arrays[name]
        out = np.empty((len(at), *like.shape[1:]), dtype=like.dtype)
        for number in np.unique(pack_of):
            mine = pack_of == number
            out[mine] = self.packs[number].arrays[name][at[mine]]
        return out


def rows_of(starts: Integers, counts: Integers) -> tuple[Integers, Integers, Integers]:
    """Return the rows ``starts[i] ... starts[i] + counts[i] - 1`` for one i after another.

    Returns
    -------
    owner (k,): the i of each row; at (k,): the rows; first: where those of each i begin among the k.
    """
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - first[owner] + starts[owner], first


def ensure(
    folder: Path,
    smiles: Sequence[str],
    size: int,
    compute: Callable[[list[str]], Arrays],
    say: Callable[[int, int, Arrays], None],
) -> None:
    """Let ``compute`` make the arrays of the molecules that no pack holds, ``size`` at a time, and store each lot.

    ``say`` hears how many are done, of how many, and the last arrays.
    """
    places = _find(smiles, _read_all(folder))
    absent = [smiles[index] for index in np.flatnonzero(places.pack_of < 0).tolist()]
    wanted = dict(zip(_digests(absent), absent, strict=True))
    missing = sorted(wanted)
    for start in range(0, len(missing), size):
        part = missing[start : start + size]
        arrays = compute([wanted[digest] for digest in part])
        _write(folder, part, arrays)
        say(start + len(part), len(missing), arrays)


def load(folder: Path, smiles: Sequence[str], noun: str) -> Places:
    """Return where the molecules lie, in the order of ``smiles``. A damaged pack counts as absent.

    Raises
    ------
    NotPreparedError: if any is missing; ``noun`` is what.
    """
    places = _find(smiles, _read_all(folder))
    lost = int((places.pack_of < 0).sum())
    if lost:
        raise NotPreparedError(
            f"{noun}s: {lost:,} of {len(smiles):,} molecules have no readable {noun} in {folder}; "
            f"{preparing('SUITE:NAME')}"
        )
    return places


def _digests(smiles: Sequence[str]) -> list[bytes]:
    return [hashlib.blake2b(one.encode(), digest_size=DIGEST).digest() for one in smiles]


def _find(smiles: Sequence[str], packs: Sequence[Pack]) -> Places:
    keys = np.array(_digests(smiles), dtype=f"S{DIGEST}")
    pack_of = np.full(len(keys), -1, dtype=np.int64)
    position = np.zeros(len(keys), dtype=np.int64)
    for number, pack in enumerate(packs):
        at = np.minimum(np.searchsorted(pack.digests, keys), len(pack.digests) - 1)
        hit = (pack.digests[at] == keys) & (pack_of < 0)
        pack_of[hit], position[hit] = number, at[hit]
    return Places(packs, pack_of, position)


def _write(folder: Path, digests: list[bytes], arrays: Arrays) -> None:
    from safetensors.numpy import save_file

    stored = {"digests": np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, DIGEST)}
    stored |= {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    path = folder / f"{hashlib.sha256(b''.join(digests)).hexdigest()[:16]}.safetensors"
    write_atomic(path, lambda temporary: save_file(stored, temporary, metadata={"crc32": _checksum(stored)}))


def _read_all(folder: Path) -> list[Pack]:
    """Return the whole packs, so that computing again what a damaged one held mends it."""
    return [pack for path in sorted(folder.glob("*.safetensors")) if (pack := _read(path)) is not None]


def _read(path: Path) -> Pack | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(
            path, framework="pt"
        ) as file:  # torch's tensors stay on disk until they are read, numpy's do not
            arrays = {name: file.get_tensor(name).numpy() for name in file.keys()}  # noqa: SIM118
            whole = (file.metadata() or {}).get("crc32") == _checksum(arrays)
    except (SafetensorError, OSError, ValueError):
        return None
    if not whole:
        return None
    return Pack(arrays.pop("digests").view(f"S{DIGEST}")[:, 0], arrays)


def _checksum(arrays: Arrays) -> str:
    check = 0
    for name, array in sorted(arrays.items()):
        check = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), check)
        check = zlib.crc32(array.data, check)
    return f"{check:08x}"
