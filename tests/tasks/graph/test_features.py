"""Features against ogb, torch-geometric and a plain reading of the published table, and what no table has."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from tasks.graph.features import Graph, graph_of, ogb_features
from tasks.molecules.demo import demo_corpus
from tests.tasks.graph.odd import LARGE, ODD

KNOWN = [*ODD, *demo_corpus()[:60]]
CHIRALITIES = ["CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW"]
KINDS = ["SINGLE", "DOUBLE", "TRIPLE", "AROMATIC"]
DIRECTIONS = ["NONE", "ENDUPRIGHT", "ENDDOWNRIGHT"]


def read(smiles: str) -> Graph:
    graph = graph_of(smiles)
    assert graph is not None
    return graph


def agrees_with_ogb(smiles: str) -> None:
    ogb_features()
    from ogb.utils.mol import smiles2graph

    graph, expected = read(smiles), smiles2graph(smiles)
    assert np.array_equal(graph.atoms, expected["node_feat"])
    assert np.array_equal(graph.bonds, expected["edge_feat"])
    assert np.array_equal(graph.ends, expected["edge_index"])


@pytest.mark.parametrize("smiles", KNOWN)
def test_features_are_those_of_ogb(smiles: str) -> None:
    agrees_with_ogb(smiles)


@pytest.mark.data
def test_features_are_those_of_ogb_on_real_molecules(mirror: Path) -> None:
    for source in ("chembl", "pubchem"):
        lines = gzip.decompress((mirror / "molecules" / f"{source}.smi.gz").read_bytes()).decode().split()
        for smiles in lines[:: len(lines) // 200]:
            agrees_with_ogb(smiles)


def test_features_agree_with_torch_geometric_on_elements() -> None:
    from torch_geometric.utils.smiles import e_map, from_smiles, x_map

    ogb = ogb_features().allowable_features
    hybridization = [_place(ogb["possible_hybridization_list"], name) for name in x_map["hybridization"]]
    kinds = [_place(ogb["possible_bond_type_list"], name) for name in e_map["bond_type"]]
    stereo = [ogb["possible_bond_stereo_list"].index(name) for name in e_map["stereo"]]
    for smiles in KNOWN:
        graph = read(smiles)
        if (graph.atoms[:, 0] == 118).any() or (graph.atoms[:, 1] > 3).any():
            continue  # torch-geometric numbers dummies otherwise, and refuses square-planar platinum
        other = from_smiles(smiles)
        atoms = other.x.numpy().copy()
        atoms[:, 0] -= 1
        atoms[:, 6] = np.array(hybridization)[atoms[:, 6]]
        assert np.array_equal(graph.atoms, atoms)
        order = np.lexsort((graph.ends[1], graph.ends[0]))  # its bonds are sorted by their ends
        assert np.array_equal(graph.ends[:, order], other.edge_index.numpy())
        kind, place, conjugated = other.edge_attr.numpy().T
        expected = np.stack([np.array(kinds)[kind], np.array(stereo)[place], conjugated], axis=1)
        assert np.array_equal(graph.bonds[order], expected)


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names) - 1


@pytest.mark.parametrize("smiles", KNOWN)
def test_published_features_are_read_off_the_molecule(smiles: str) -> None:
    molecule = Chem.MolFromSmiles(smiles)
    atoms, bonds, ends = [], [], []
    for atom in molecule.GetAtoms():
        chirality = str(atom.GetChiralTag())
        number = atom.GetAtomicNum() - 1 if atom.GetAtomicNum() else 118
        atoms.append([number, CHIRALITIES.index(chirality) if chirality in CHIRALITIES else 0])
    for bond in molecule.GetBonds():
        kind, direction = str(bond.GetBondType()), str(bond.GetBondDir())
        first, second = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends += [(first, second), (second, first)]
        bonds += [[KINDS.index(kind) if kind in KINDS else 0, DIRECTIONS.index(direction)]] * 2
    graph = read(smiles)
    assert graph.published_atoms.tolist() == atoms
    assert graph.published_bonds.tolist() == bonds
    assert list(zip(*graph.ends.tolist(), strict=True)) == ends


def test_known_answers() -> None:
    graph = read("F/C=C\\F")
    assert graph.published_atoms.tolist() == [[8, 0], [5, 0], [5, 0], [8, 0]]
    assert graph.published_bonds.tolist() == [[0, 1], [0, 1], [1, 0], [1, 0], [0, 2], [0, 2]]
    assert graph.ends.tolist() == [[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]
    turned = [read(smiles).published_atoms[1, 1] for smiles in ("F[C@H](Cl)Br", "F[C@@H](Cl)Br")]
    assert sorted(turned) == [1, 2]


@pytest.mark.parametrize("smiles", KNOWN)
def test_types_and_ranges(smiles: str) -> None:
    ogb, graph = ogb_features(), read(smiles)
    assert graph.ends.dtype == np.int32
    for array in (graph.atoms, graph.bonds, graph.published_atoms, graph.published_bonds):
        assert array.dtype == np.uint8
    bonds = len(graph.bonds)
    assert graph.bonds.shape == (bonds, 3)
    assert graph.published_bonds.shape == (bonds, 2)
    assert graph.ends.shape == (2, bonds)
    assert (graph.atoms < ogb.get_atom_feature_dims()).all()
    assert (graph.bonds < ogb.get_bond_feature_dims()).all()
    assert (graph.published_atoms < [119, 3]).all()
    assert (graph.published_bonds < [4, 3]).all()
    assert np.array_equal(graph.published_atoms[:, 0], graph.atoms[:, 0])


def test_atoms_and_bonds_without_a_row_are_ruled() -> None:
    assert read("*CC*").published_atoms[:, 0].tolist() == [118, 5, 5, 118]
    assert read("*CC*").atoms[0, 0] == 118
    assert read("[Og]").published_atoms.tolist() == [[117, 0]]
    assert read("F[Pt@SP1](Cl)(Br)I").atoms[1, 1] == 4
    assert read("F[Pt@SP1](Cl)(Br)I").published_atoms[1, 1] == 0
    for smiles in ("[NH3]->[Fe]", "C$C"):
        assert (read(smiles).bonds[:, 0] == 4).all()
        assert (read(smiles).published_bonds[:, 0] == 0).all()


def test_edges_of_size() -> None:
    assert read("C").atoms.shape == (1, 9)
    assert read("[Na+].[Cl-]").ends.shape == (2, 0)
    assert len(read(LARGE).atoms) == 222
    assert len(read("CC(=O)[O-].[Na+].O").atoms) == 6


@pytest.mark.parametrize("smiles", ["", "C1CC", "not a molecule"])
def test_what_is_no_molecule_has_no_graph(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert graph_of(smiles) is None
    assert capfd.readouterr().err == ""


def test_ogb_brings_neither_its_thread_nor_torch() -> None:
    code = (
        "import sys, threading; from tasks.graph.features import graph_of; graph_of('CC'); "
        "print('ogb' in sys.modules, 'torch' in sys.modules, threading.active_count())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False", "1"]
