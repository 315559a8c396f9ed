"""Graphs of molecules on disk: every molecule is featurised once, then memory-mapped by all processes.

Letters: b molecules of a batch, v atoms of all of them, e directed bonds, f and g features of an atom and a bond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import RequestError
from bench.files import home
from tasks.graph import packs
from tasks.graph.features import Features, Graph, graph_of
from tasks.parallel import spread

FORMAT = 1  # raised when the files of the same molecules come to mean something else
PACK = 32_768  # molecules; what a crash can lose
CHUNK = 256  # molecules that a worker featurises before it reports
FIELDS = {"published": ("published_atoms", "published_bonds"), "ogb": ("atoms", "bonds")}


@dataclass(frozen=True)
class Packed:
    """Several molecules as one graph without bonds between them."""

    atoms: NDArray[np.int64]  # (v, f)
    bonds: NDArray[np.int64]  # (e, g); the two directions of a bond follow each other
    ends: NDArray[np.int64]  # (2, e), places among the v atoms
    molecule: NDArray[np.int64]  # (v,), which of the b an atom belongs to, ascending
    count: int  # b


class GraphCache:
    """The graphs of all molecules, in both forms of their features."""

    @property
    def folder(self) -> Path:
        """Where the packs lie; features depend on the versions of RDKit and ogb, so the folder does too."""
        return home() / "graphs" / f"{FORMAT}-rdkit-{version('rdkit')}-ogb-{version('ogb')}"

    def ensure(self, smiles: Sequence[str], workers: int, say: Callable[[str], None]) -> None:
        """Featurise what is missing. SMILES strings are the keys as they stand, so give them in canonical form.

        Raises
        ------
        RequestError: naming a molecule that cannot be read.
        """

        def compute(part: list[str]) -> packs.Arrays:
            chunks = [part[start : start + CHUNK] for start in range(0, len(part), CHUNK)]
            return _joined(list(chain.from_iterable(spread(_featurise, chunks, workers))))

        def report(done: int, missing: int, _: packs.Arrays) -> None:
            say(f"graphs: {done:,} of {missing:,} missing molecules featurised")

        packs.ensure(self.folder, smiles, PACK, compute, report)

    def load(self, smiles: Sequence[str]) -> Graphs:
        """Return a handle on the graphs of ``smiles``, in their order.

        Raises
        ------
        NotPreparedError: if any is missing, or lies in a pack that is damaged.
        """
        return Graphs(packs.load(self.folder, smiles, "graph"))


class Graphs:
    """The graphs of a list of molecules, read from disk when asked for."""

    def __init__(self, places: packs.Places) -> None:
        self._places = places
        self._atoms, self._bonds = places.spans("atom_ends"), places.spans("bond_ends")

    def __len__(self) -> int:
        return len(self._places.position)

    def batch(self, rows: ArrayLike, features: Features) -> Packed:
        """Return the graphs at ``rows`` (b,) of the list as one, without a loop over molecules."""
        wanted = np.asarray(rows, dtype=np.int64)
        pack_of = self._places.pack_of[wanted]
        (atom_start, atoms), (bond_start, bonds) = self._atoms, self._bonds
        molecule, atom_at, first = packs.rows_of(atom_start[wanted], atoms[wanted])
        bond_of, bond_at, _ = packs.rows_of(bond_start[wanted], bonds[wanted])

        def read(name: str, owner: packs.Integers, at: packs.Integers) -> NDArray[np.int64]:
            return self._places.take(name, pack_of[owner], at).astype(np.int64)

        atom_field, bond_field = FIELDS[features]
        return Packed(
            atoms=read(atom_field, molecule, atom_at),
            bonds=read(bond_field, bond_of, bond_at),
            ends=(read("ends", bond_of, bond_at) + first[bond_of][:, None]).T,
            molecule=molecule,
            count=len(wanted),
        )


def _featurise(smiles: list[str]) -> list[Graph]:
    graphs = []
    for one in smiles:
        graph = graph_of(one)
        if graph is None:
            raise RequestError(f"smiles: expected a molecule that RDKit can read, got {one!r}")
        graphs.append(graph)
    return graphs


def _joined(graphs: list[Graph]) -> packs.Arrays:
    fields = (*FIELDS["published"], *FIELDS["ogb"])
    return {
        **{name: np.concatenate([getattr(graph, name) for graph in graphs]) for name in fields},
        "ends": np.concatenate([graph.ends.T for graph in graphs]),
        "atom_ends": np.cumsum([len(graph.atoms) for graph in graphs], dtype=np.int64),
        "bond_ends": np.cumsum([len(graph.bonds) for graph in graphs], dtype=np.int64),
    }
