"""Rendered molecules on disk: every molecule is drawn once, then memory-mapped by all processes.

A folder holds the images of one (drawing side, image side, RDKit version). In it lie packs. A pack is
three files: the images, each compressed by itself; the offsets of their ends; and the sorted digests of
their SMILES strings. The digests are written last and make the pack exist, so a crash leaves no half
pack. Packs are named by what they hold: two processes that draw the same molecules write the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import ArrayLike, NDArray

from bench.errors import NotPreparedError
from bench.files import home, write_atomic
from tasks.parallel import spread
from tasks.sources import preparing

PACK = 32_768  # images; what a crash can lose
CHUNK = 64  # images that a worker draws before it reports
LEVEL = 3  # of zstd; higher levels save little on line drawings
DIGEST = 16  # bytes


@dataclass(frozen=True)
class ImageCache:
    """The images of one drawing side and one image side, in pixels."""

    render_pixels: int
    pixels: int

    @property
    def folder(self) -> Path:
        """Where the packs lie; the drawing depends on the version of RDKit, so the folder does too."""
        return home() / "images" / f"{self.render_pixels}-{self.pixels}-rdkit-{version('rdkit')}"

    def ensure(self, smiles: Sequence[str], workers: int, say: Callable[[str], None]) -> None:
        """Draw what is missing. SMILES strings are the keys as they stand, so give them in canonical form.

        Raises
        ------
        RequestError: naming a molecule that cannot be read or drawn.
        """
        pack_of, _ = _find(smiles, list(self._packs()))
        absent = [smiles[index] for index in np.flatnonzero(pack_of < 0).tolist()]
        wanted = dict(zip(_digests(absent), absent, strict=True))
        missing = sorted(wanted)
        for start in range(0, len(missing), PACK):
            part = missing[start : start + PACK]
            self._write(part, list(self._draw([wanted[digest] for digest in part], workers)))
            say(
                f"images: {start + len(part):,} of {len(missing):,} missing molecules drawn "
                f"at {self.render_pixels} pixels, kept at {self.pixels}"
            )

    def load(self, smiles: Sequence[str]) -> Images:
        """Return a handle on the images of ``smiles``, in their order.

        Raises
        ------
        NotPreparedError: if any is missing, or lies in a pack that is damaged.
        """
        packs = list(self._packs())
        pack_of, position = _find(smiles, packs)
        lost = int((pack_of < 0).sum())
        if lost:
            raise NotPreparedError(
                f"images: {lost:,} of {len(smiles):,} molecules have no readable image in {self.folder}; "
                f"{preparing('SUITE:NAME')}"
            )
        return Images(self.pixels, packs, pack_of, position)

    def _draw(self, smiles: list[str], workers: int) -> Iterator[bytes]:
        chunks = [smiles[start : start + CHUNK] for start in range(0, len(smiles), CHUNK)]
        draw = partial(_draw_chunk, render_pixels=self.render_pixels, pixels=self.pixels)
        for drawn in spread(draw, chunks, workers):
            yield from drawn

    def _write(self, digests: list[bytes], images: list[bytes]) -> None:
        stem = self.folder / hashlib.sha256(b"".join(digests)).hexdigest()[:16]
        ends = np.cumsum([len(image) for image in images], dtype=np.int64)
        index = np.array(digests, dtype=f"S{DIGEST}")
        write_atomic(stem.with_suffix(".images"), lambda path: path.write_bytes(b"".join(images)))
        write_atomic(stem.with_suffix(".ends.npy"), lambda path: _save(path, ends))
        write_atomic(stem.with_suffix(".digests.npy"), lambda path: _save(path, index))

    def _packs(self) -> Iterator[Pack]:
        """The whole packs; a damaged one counts as absent, so that preparing again mends it."""
        for index in sorted(self.folder.glob("*.digests.npy")):
            stem = index.with_name(index.name.removesuffix(".digests.npy"))
            try:
                digests = np.load(index, mmap_mode="r", allow_pickle=False)
                ends = np.load(stem.with_suffix(".ends.npy"), mmap_mode="r", allow_pickle=False)
                blob = np.memmap(stem.with_suffix(".images"), dtype=np.uint8, mode="r")
            except (OSError, ValueError, EOFError):
                continue
            if len(digests) == len(ends) > 0 and int(ends[-1]) == blob.size:
                yield Pack(stem, digests, ends, blob)


@dataclass(frozen=True)
class Pack:
    """An open pack of m images: digests (m,), ends of the compressed images (m,), and their bytes."""

    stem: Path
    digests: NDArray[np.bytes_]
    ends: NDArray[np.int64]
    blob: NDArray[np.uint8]


class Images:
    """The images of a list of molecules, decompressed when asked for. Not shared between threads."""

    def __init__(
        self, pixels: int, packs: Sequence[Pack], pack_of: NDArray[np.int32], position: NDArray[np.int64]
    ) -> None:
        self._pixels, self._packs, self._pack_of, self._position = pixels, packs, pack_of, position
        self._decompressor = zstandard.ZstdDecompressor()

    def __len__(self) -> int:
        return len(self._position)

    def images(self, indices: ArrayLike) -> NDArray[np.uint8]:
        """Return the images at ``indices`` (b,) of the list, shape (b, pixels, pixels, 3).

        Raises
        ------
        NotPreparedError: if a compressed image is damaged.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        out = np.empty((len(wanted), self._pixels, self._pixels, 3), dtype=np.uint8)
        for row, index in enumerate(wanted):
            pack, position = self._packs[self._pack_of[index]], int(self._position[index])
            start = int(pack.ends[position - 1]) if position else 0
            try:
                raw = self._decompressor.decompress(pack.blob[start : int(pack.ends[position])])
                out[row] = np.frombuffer(raw, dtype=np.uint8).reshape(out.shape[1:])
            except (zstandard.ZstdError, ValueError) as error:
                raise NotPreparedError(
                    f"images: {pack.stem.with_suffix('.images')} is damaged; delete it, then {preparing('SUITE:NAME')}"
                ) from error
        return out


def _digests(smiles: Sequence[str]) -> list[bytes]:
    return [hashlib.blake2b(one.encode(), digest_size=DIGEST).digest() for one in smiles]


def _find(smiles: Sequence[str], packs: Sequence[Pack]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the number of the pack of each molecule, -1 if none holds it, and its position there."""
    keys = np.array(_digests(smiles), dtype=f"S{DIGEST}")
    pack_of = np.full(len(keys), -1, dtype=np.int32)
    position = np.zeros(len(keys), dtype=np.int64)
    for number, pack in enumerate(packs):
        at = np.minimum(np.searchsorted(pack.digests, keys), len(pack.digests) - 1)
        hit = (pack.digests[at] == keys) & (pack_of < 0)
        pack_of[hit], position[hit] = number, at[hit]
    return pack_of, position


def _draw_chunk(smiles: list[str], render_pixels: int, pixels: int) -> list[bytes]:
    from tasks.image.render import render  # keeps RDKit out of processes that only read

    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    return [compressor.compress(render(one, render_pixels, pixels).tobytes()) for one in smiles]


def _save(path: Path, array: NDArray[np.generic]) -> None:
    # np.save adds its ending to a name, so it gets an open file.
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
