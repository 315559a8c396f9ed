"""Parts of molecules: what is near an atom, the ring around that, and connected crops.

Letters: b molecules of a batch, v atoms of all of them, e directed bonds, k molecules that a part is kept of.
All functions work on a whole batch at once; no edge leads from one molecule to another, so one shortest-path
search from b sources serves b molecules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from bench.errors import RequestError
from tasks.graph.cache import Packed

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Contexts:
    """The two graphs of k molecules that context prediction compares; ``skipped`` molecules have no context.

    Parameters
    ----------
    centre: (k,), places of the centres among the atoms of ``substructure``.
    overlap: (o,), places among the atoms of ``context`` that the substructure has too.
    """

    substructure: Packed
    centre: Integers
    context: Packed
    overlap: Integers
    skipped: int


def sizes(packed: Packed) -> Integers:
    """Return the atoms of each molecule, shape (b,)."""
    return np.bincount(packed.molecule, minlength=packed.count)


def induced(packed: Packed, keep: Mask) -> Packed:
    """Return the graph on the atoms where ``keep`` (v,), with the bonds between them.

    Atoms, bonds and molecules stay in order and are numbered anew; molecules that keep no atom are left out.
    """
    place = np.cumsum(keep) - 1
    inside = keep[packed.ends[0]] & keep[packed.ends[1]]
    molecule = packed.molecule[keep]
    there = np.bincount(molecule, minlength=packed.count) > 0
    number = np.cumsum(there) - 1
    return Packed(
        packed.atoms[keep], packed.bonds[inside], place[packed.ends[:, inside]], number[molecule], int(there.sum())
    )


def distances(packed: Packed, centres: Integers) -> Floats:
    """Return the bonds between each atom and the centre of its molecule, inf where no path leads, shape (v,).

    Parameters
    ----------
    centres: (b,), places among the v atoms, one in each molecule.
    """
    found: Floats = dijkstra(_adjacency(packed), indices=centres, unweighted=True, min_only=True)
    return found


def contexts(packed: Packed, centres: Integers, radius: int, ring: tuple[int, int]) -> Contexts:
    """Return the substructures and contexts around one centre of each molecule (Hu et al. 2020, section 3.1.1).

    The substructure has the atoms up to ``radius`` bonds from the centre, the context those more than
    ``ring[0]`` and at most ``ring[1]`` bonds away; the overlap is what both have. Molecules in which it is
    empty, as they are too small, are left out and counted.

    Raises
    ------
    RequestError: if no molecule can have an overlap.
    """
    inner, outer = ring
    if not inner < min(radius, outer):
        raise RequestError(
            f"graph.context: expected an inner edge below the outer one and below graph.radius, {radius}, "
            f"got ({inner}, {outer})"
        )
    away = distances(packed, centres)
    substructure, context = away <= radius, (away > inner) & (away <= outer)
    overlap = substructure & context
    usable = np.bincount(packed.molecule[overlap], minlength=packed.count) > 0
    substructure &= usable[packed.molecule]
    context &= usable[packed.molecule]
    return Contexts(
        induced(packed, substructure),
        (np.cumsum(substructure) - 1)[centres[usable]],
        induced(packed, context),
        (np.cumsum(context) - 1)[overlap],
        int(packed.count - usable.sum()),
    )


def connected_crop(packed: Packed, keys: Floats, waits: Floats, share: float) -> Mask:
    """Return which atoms, (v,), a random connected crop of each molecule keeps: floor((1 - share) n) + 1 of its n.

    The crop of GraphMVP (Liu et al. 2022) grows from a random atom by one random neighbour of what it has, each
    equally likely; where it has all that is connected, it goes on from a random atom of the rest. The same law
    comes from one shortest-path search: an atom with a neighbour in the crop joins after a wait drawn from
    Exp(1), and as such waits have no memory, each of the waiting atoms is as likely to be the next.

    Parameters
    ----------
    keys: (v,), independent draws from U(0, 1): the smallest of a fragment is where it starts to grow.
    waits: (v,), independent draws from Exp(1).
    """
    adjacency = _adjacency(packed, waits[packed.ends[1]])
    fragments, fragment = connected_components(adjacency, directed=False)
    starts, falling = np.empty(fragments, dtype=np.int64), np.argsort(-keys)
    starts[fragment[falling]] = falling  # the last one written has the smallest key
    time = dijkstra(adjacency, indices=starts, min_only=True)
    size = sizes(packed)
    return foremost(packed, np.minimum(np.floor(size * (1 - share)) + 1, size), keys[starts][fragment], time)


def foremost(packed: Packed, number: NDArray[np.number], *keys: Floats) -> Mask:
    """Return which atoms, (v,), are among the first ``number`` (b,) of their molecule, sorted by the keys (v,)."""
    size, rank = sizes(packed), np.empty(len(packed.molecule), dtype=np.int64)
    order = np.lexsort((*reversed(keys), packed.molecule))
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    return np.asarray(rank < number[packed.molecule])


def _adjacency(packed: Packed, weights: Floats | None = None) -> csr_array:
    values = np.ones(packed.ends.shape[1]) if weights is None else weights
    atoms = len(packed.molecule)
    return csr_array((values, (packed.ends[0], packed.ends[1])), shape=(atoms, atoms))
