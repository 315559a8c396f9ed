"""Conformers: geometry, order of the atoms, the same for the same input, failures with their reasons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import NotPreparedError, RequestError
from tasks.graph import conformers as module
from tasks.graph.cache import GraphCache
from tasks.graph.conformers import GAP, ConformerCache, embed
from tasks.graph.features import graph_of
from tasks.molecules.demo import demo_corpus
from tests.tasks.graph.odd import LARGE

IMPOSSIBLE = "F[Xe](F)(F)F"
MOLECULES = ["CCO", "C", "CC(=O)Oc1ccccc1C(=O)O", "C/C=C/C(=O)NC1CC1", "CC(=O)[O-].[Na+].O", *demo_corpus()[:5]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConformerCache:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return ConformerCache(conformers=2, seed=0)


def silent(_: str) -> None:
    pass


def lengths(positions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances between all pairs of atoms, infinite on the diagonal."""
    apart = np.linalg.norm(positions[:, None].astype(np.float64) - positions[None], axis=-1)
    return np.asarray(apart + np.diag(np.full(len(positions), np.inf)))


@pytest.mark.parametrize("smiles", [one for one in MOLECULES if len(one) > 1])
def test_atoms_are_in_the_order_of_the_graph(smiles: str) -> None:
    graph = graph_of(smiles)
    assert graph is not None
    for positions in embed(smiles, 2, 0).positions:
        assert positions.shape == (len(graph.atoms), 3)
        apart = lengths(positions)
        bonded = apart[graph.ends[0], graph.ends[1]]
        assert ((bonded > 1.1) & (bonded < 2.0)).all()
        others = np.ones_like(apart, dtype=bool)
        others[graph.ends[0], graph.ends[1]] = False
        assert apart[others].min() > 2.0


def test_known_lengths() -> None:
    ethane, ethyne = (lengths(embed(smiles, 1, 0).positions[0])[0, 1] for smiles in ("CC", "C#C"))
    assert ethane == pytest.approx(1.53, abs=0.05)
    assert ethyne == pytest.approx(1.20, abs=0.05)
    assert embed("C", 1, 0).positions.tolist() == [embed("C", 1, 0).positions[0].tolist()]


def test_mirror_images_have_opposite_handedness() -> None:
    turned = []
    for smiles in ("F[C@H](Cl)Br", "F[C@@H](Cl)Br"):
        for fluorine, carbon, chlorine, bromine in embed(smiles, 3, 0).positions:
            sides = np.stack([fluorine, chlorine, bromine]) - carbon
            turned.append(np.sign(np.linalg.det(sides)))
    assert len(turned) == 6
    assert turned[:3] == [-one for one in turned[3:]] == [turned[0]] * 3


def test_fragments_stand_apart() -> None:
    for positions in embed("CC(=O)[O-].[Na+].O", 2, 0).positions:
        apart = lengths(positions)
        for first, second in ((range(4), [4]), (range(4), [5]), ([4], [5])):
            assert apart[np.ix_(first, second)].min() >= GAP * (1 - 1e-6)
    assert lengths(embed("[Na+].[Cl-]", 1, 0).positions[0])[0, 1] == pytest.approx(GAP)


def test_a_fragment_keeps_its_shape() -> None:
    alone, salt = embed("CC(=O)[O-]", 1, 0).positions[0], embed("CC(=O)[O-].[Na+]", 1, 0).positions[0]
    np.testing.assert_allclose(lengths(alone), lengths(salt[:4]), atol=1e-4)


def test_seeds_differ_and_repeat() -> None:
    shapes = [embed("CCCCO", 2, seed).positions for seed in (0, 1, 2, 0)]
    assert np.array_equal(shapes[0], shapes[3])
    assert not np.allclose(shapes[0], shapes[1])
    assert not np.allclose(shapes[1], shapes[2])
    assert not np.allclose(shapes[0][0], shapes[0][1])


def test_workers_give_the_same_files(cache: ConformerCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 3)
    cache.ensure([*MOLECULES, IMPOSSIBLE], 2, silent)
    first = {path.name: path.read_bytes() for path in cache.folder.iterdir()}
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "other"))
    cache.ensure([*MOLECULES, IMPOSSIBLE], 1, silent)
    assert {path.name: path.read_bytes() for path in cache.folder.iterdir()} == first


def test_positions_are_those_of_the_molecules_asked_for(cache: ConformerCache) -> None:
    cache.ensure(MOLECULES[:6], 1, silent)
    cache.ensure(MOLECULES[3:], 1, silent)  # a second pack
    GraphCache().ensure(MOLECULES, 1, silent)
    conformers, graphs = cache.load(MOLECULES), GraphCache().load(MOLECULES)
    assert conformers.counts.tolist() == [2] * len(MOLECULES)
    assert conformers.failures == {}
    rows, choice = [7, 0, 4, 4, 1, 9], [0, 1, 2, 3, 5, 4]
    got = conformers.positions(rows, choice)
    expected = [embed(MOLECULES[row], 2, 0).positions[one % 2] for row, one in zip(rows, choice, strict=True)]
    assert got.dtype == np.float32
    assert np.array_equal(got, np.concatenate(expected))
    assert len(got) == len(graphs.batch(rows, "published").atoms)


def test_failures_are_counted_by_reason_and_kept(cache: ConformerCache) -> None:
    lines: list[str] = []
    molecules = ["CCO", LARGE, IMPOSSIBLE, LARGE]
    cache.ensure(molecules, 1, lines.append)
    cache.ensure(molecules, 1, lines.append)
    assert lines == ["conformers: 3 of 3 missing molecules embedded, 1 no embedding, 1 too large"]
    conformers = cache.load(molecules)
    assert conformers.counts.tolist() == [2, 0, 0, 0]
    assert conformers.failures == {"too large": 2, "no embedding": 1}
    assert conformers.positions([0], [1]).shape == (3, 3)
    with pytest.raises(ValueError, match="got row 2"):
        conformers.positions([0, 2], [0, 0])


def test_unreadable_molecule_is_named(cache: ConformerCache) -> None:
    with pytest.raises(RequestError, match="'C1CC'"):
        cache.ensure(["C1CC"], 1, silent)


def test_other_numbers_and_seeds_have_conformers_of_their_own(cache: ConformerCache) -> None:
    cache.ensure(["CCO"], 1, silent)
    for other in (ConformerCache(1, 0), ConformerCache(2, 1)):
        with pytest.raises(NotPreparedError, match=r"1 of 1 molecules have no readable conformer.*bench prepare"):
            other.load(["CCO"])


def test_nothing_is_written_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    embed("C[Fe]C", 1, 0)  # RDKit has no type for this atom and says so
    assert capfd.readouterr().err == ""
