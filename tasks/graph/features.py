"""Atoms and bonds of a molecule as integers, in the two forms that the field uses.

Letters: v atoms, e directed bonds: each bond twice, the second right after the first and with its ends swapped.

"ogb": the 9 features of an atom and the 3 of a bond of the Open Graph Benchmark (Hu et al. 2020, arXiv 2005.00687).
"published": the 2 and 2 that the released GIN weights read (Hu et al. 2020, arXiv 1905.12265): atomic number - 1 and
chirality (unspecified, clockwise, counterclockwise); bond type (single, double, triple, aromatic) and bond direction
(none, up, down). What its tables have no row for would stop the published code. Here an atom that is no element, such
as a dummy, is number 118, which is OGB's number too and a row that the published table has to spare; any other
chirality is unspecified, any other bond is single, any other direction is none.

Hydrogens that RDKit keeps as atoms when it reads a SMILES string are atoms here too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

if TYPE_CHECKING:
    from types import ModuleType

Features = Literal["published", "ogb"]


@dataclass(frozen=True)
class Graph:
    """One molecule: ``ends`` are the atoms that a directed bond leaves and reaches."""

    atoms: NDArray[np.uint8]  # (v, 9)
    bonds: NDArray[np.uint8]  # (e, 3)
    published_atoms: NDArray[np.uint8]  # (v, 2)
    published_bonds: NDArray[np.uint8]  # (e, 2)
    ends: NDArray[np.int32]  # (2, e)


def read_molecule(smiles: str) -> Chem.Mol | None:
    """Return the molecule whose atoms are those of the graph, in its order; None if it is unreadable or empty."""
    with rdBase.BlockLogs():  # its warnings would go to the user's terminal
        molecule = Chem.MolFromSmiles(smiles)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def graph_of(smiles: str) -> Graph | None:
    """Return the features of a molecule, or None if RDKit cannot read it or it has no atom."""
    molecule = read_molecule(smiles)
    if molecule is None:
        return None
    ogb = ogb_features()
    undirected = list(molecule.GetBonds())
    atoms = np.array([ogb.atom_to_feature_vector(atom) for atom in molecule.GetAtoms()], dtype=np.uint8)
    # Reshaped, because without bonds there is no row to tell the number of columns.
    bonds = np.array([ogb.bond_to_feature_vector(bond) for bond in undirected], dtype=np.uint8).reshape(-1, 3)
    directions = np.array([_direction(bond) for bond in undirected], dtype=np.uint8).reshape(-1, 1)
    ends = np.array([_ends(bond) for bond in undirected], dtype=np.int32).reshape(-1, 2)
    # The first columns of both forms count alike, but for OGB's rows at the end of its tables.
    chirality = np.where(atoms[:, 1] <= 2, atoms[:, 1], 0)
    kinds = np.where(bonds[:, :1] <= 3, bonds[:, :1], 0)
    return Graph(
        atoms=atoms,
        bonds=bonds.repeat(2, axis=0),
        published_atoms=np.stack([atoms[:, 0], chirality], axis=1),
        published_bonds=np.concatenate([kinds, directions], axis=1).repeat(2, axis=0),
        ends=np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2).T,
    )


def ogb_features() -> ModuleType:
    """Return the module ``ogb.utils.features``. Whoever needs anything of ogb calls this before importing it."""
    # When ogb is imported it asks the network for its newest version, in a thread that can outlive the run for minutes,
    # unless this package is absent.
    sys.modules.setdefault("outdated", None)  # type: ignore[arg-type]
    from ogb.utils import features  # type: ignore[import-untyped]

    module: ModuleType = features
    return module


def _direction(bond: Chem.Bond) -> int:
    return {Chem.BondDir.ENDUPRIGHT: 1, Chem.BondDir.ENDDOWNRIGHT: 2}.get(bond.GetBondDir(), 0)


def _ends(bond: Chem.Bond) -> tuple[int, int]:
    return bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
