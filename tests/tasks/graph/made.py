"""Molecules that tests make: any atoms and bonds, with features that say what they belong to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.graph.cache import Packed


@dataclass(frozen=True)
class Made:
    """One molecule: its atoms are 0 .. size - 1, its bonds pairs of them, smaller first."""

    size: int
    bonds: frozenset[tuple[int, int]]
    centre: int = 0

    def near(self, atom: int) -> list[int]:
        return [a + b - atom for a, b in self.bonds if atom in (a, b)]

    def away(self, start: int) -> dict[int, int]:
        """Distances from ``start`` to all atoms that it reaches, by a breadth-first search."""
        found, queue = {start: 0}, deque([start])
        while queue:
            atom = queue.popleft()
            for other in self.near(atom):
                if other not in found:
                    found[other] = found[atom] + 1
                    queue.append(other)
        return found

    def inside(self, atoms: set[int]) -> set[tuple[int, int]]:
        return {pair for pair in self.bonds if set(pair) <= atoms}


def chain(size: int) -> Made:
    return Made(size, frozenset((a, a + 1) for a in range(size - 1)))


def pack(made: Sequence[Made]) -> Packed:
    """Features name what they belong to: of an atom (molecule, number), of a bond the lower and the upper end."""
    offsets = np.cumsum([0, *(one.size for one in made)])
    atoms = [(index, atom) for index, one in enumerate(made) for atom in range(one.size)]
    bonds, ends = [], []
    for offset, one in zip(offsets, made, strict=False):
        for a, b in sorted(one.bonds):
            bonds += [(a, b), (a, b)]
            ends += [(offset + a, offset + b), (offset + b, offset + a)]
    return Packed(
        np.array(atoms, dtype=np.int64).reshape(-1, 2),
        np.array(bonds, dtype=np.int64).reshape(-1, 2),
        np.array(ends, dtype=np.int64).reshape(-1, 2).T,
        np.repeat(np.arange(len(made)), [one.size for one in made]),
        len(made),
    )


@dataclass(frozen=True)
class MadeGraphs:
    """Stands in for the cache."""

    made: Sequence[Made]

    def batch(self, rows: NDArray[np.int64], features: str) -> Packed:
        return pack([self.made[row] for row in rows.tolist()])


@dataclass(frozen=True)
class MadeConformers:
    """Stands in for the cache: the position of an atom is (row of the molecule, number of the atom, conformer)."""

    made: Sequence[Made]
    counts: NDArray[np.int64]

    def positions(self, rows: NDArray[np.int64], choice: NDArray[np.int64]) -> NDArray[np.float32]:
        assert (choice < self.counts[rows]).all()
        found = [(r, atom, c) for r, c in zip(rows, choice, strict=True) for atom in range(self.made[r].size)]
        return np.array(found, dtype=np.float32)
