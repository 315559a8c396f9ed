"""The graph cache: batches against a plain reading, missing and damaged files, and two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from bench.errors import NotPreparedError, RequestError
from tasks.graph import cache as module
from tasks.graph.cache import FIELDS, GraphCache, Packed
from tasks.graph.features import Features, graph_of
from tasks.molecules.demo import demo_corpus
from tests.tasks.graph.odd import ODD

ALKANES = ["C" * length for length in range(1, 40)]
MANY = [*ODD, *demo_corpus()[:100]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphCache:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return GraphCache()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> module.Graphs:
    """A list that lies in many packs, shuffled among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("packs")))
        patch.setattr(module, "PACK", 16)
        GraphCache().ensure(MANY, 1, silent)
        assert len(list(GraphCache().folder.iterdir())) == -(-len(MANY) // 16)
        return GraphCache().load(MANY)


def silent(_: str) -> None:
    pass


def reference(smiles: list[str], features: Features) -> Packed:
    """The batch, put together one molecule, atom and bond at a time."""
    atoms: list[list[int]] = []
    bonds: list[list[int]] = []
    ends: list[list[int]] = []
    molecule: list[int] = []
    for number, one in enumerate(smiles):
        graph = graph_of(one)
        assert graph is not None
        offset = len(atoms)
        atom_field, bond_field = FIELDS[features]
        for row in getattr(graph, atom_field).tolist():
            atoms.append(row)
            molecule.append(number)
        for row, left, right in zip(getattr(graph, bond_field).tolist(), *graph.ends.tolist(), strict=True):
            bonds.append(row)
            ends.append([left + offset, right + offset])
    f, g = (9, 3) if features == "ogb" else (2, 2)
    return Packed(
        np.array(atoms, dtype=np.int64).reshape(-1, f),
        np.array(bonds, dtype=np.int64).reshape(-1, g),
        np.array(ends, dtype=np.int64).reshape(-1, 2).T,
        np.array(molecule, dtype=np.int64),
        len(smiles),
    )


def same(got: Packed, expected: Packed) -> None:
    assert got.count == expected.count
    for name in ("atoms", "bonds", "ends", "molecule"):
        left, right = getattr(got, name), getattr(expected, name)
        assert left.dtype == right.dtype == np.int64
        assert left.shape == right.shape
        assert np.array_equal(left, right)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(MANY) - 1), max_size=12), st.sampled_from(["published", "ogb"]))
def test_batches_are_what_a_plain_reading_gives(packed: module.Graphs, rows: list[int], features: Features) -> None:
    same(packed.batch(rows, features), reference([MANY[row] for row in rows], features))


def test_one_large_batch(packed: module.Graphs) -> None:
    rows = np.random.default_rng(0).permutation(len(MANY))
    same(packed.batch(rows, "ogb"), reference([MANY[row] for row in rows], "ogb"))


def test_a_pack_without_any_bond(cache: GraphCache) -> None:
    cache.ensure(["C", "[Na+].[Cl-]"], 1, silent)
    graphs = cache.load(["[Na+].[Cl-]", "C"])
    assert len(graphs) == 2
    same(graphs.batch([0, 1], "published"), reference(["[Na+].[Cl-]", "C"], "published"))


def test_only_missing_molecules_are_computed_and_once(cache: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def counted(smiles: str) -> object:
        seen.append(smiles)
        return graph_of(smiles)

    monkeypatch.setattr(module, "graph_of", counted)
    lines: list[str] = []
    cache.ensure([*ALKANES[:20], *ALKANES[:20]], 1, lines.append)
    assert sorted(seen) == sorted(ALKANES[:20])
    cache.ensure(ALKANES, 1, lines.append)
    cache.ensure(ALKANES, 1, lines.append)
    assert sorted(seen) == sorted(ALKANES)
    assert lines == [f"graphs: {count} of {count} missing molecules featurised" for count in (20, 19)]
    assert len(list(cache.folder.iterdir())) == 2
    same(cache.load(ALKANES).batch(range(39), "ogb"), reference(ALKANES, "ogb"))


def test_workers_give_the_same_files(cache: GraphCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    cache.ensure(ALKANES[:10], 2, silent)
    first = {path.name: path.read_bytes() for path in cache.folder.iterdir()}
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "other"))
    cache.ensure(ALKANES[:10], 1, silent)
    assert {path.name: path.read_bytes() for path in cache.folder.iterdir()} == first


def test_another_version_of_rdkit_has_graphs_of_its_own(cache: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.ensure(ALKANES[:2], 1, silent)
    monkeypatch.setattr(module, "version", lambda package: f"{package} 1")
    with pytest.raises(NotPreparedError, match=r"2 of 2 molecules have no readable graph.*rdkit 1.*bench prepare"):
        cache.load(ALKANES[:2])


def test_missing_graphs_are_counted(cache: GraphCache) -> None:
    cache.ensure(ALKANES[:2], 1, silent)
    with pytest.raises(NotPreparedError, match=r"1 of 3 molecules .*run: python -m bench prepare"):
        cache.load(ALKANES[:3])


def test_unreadable_molecule_is_named_and_leaves_nothing(cache: GraphCache) -> None:
    with pytest.raises(RequestError, match="'C1CC'"):
        cache.ensure(["CC", "C1CC"], 1, silent)
    assert not cache.folder.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "longer", "header", *range(8)])
def test_damaged_packs_are_refused_and_mended(cache: GraphCache, damage: str | int) -> None:
    cache.ensure(ALKANES[:5], 1, silent)
    (victim,) = cache.folder.iterdir()
    content = bytearray(victim.read_bytes())
    if damage == "cut":
        content = content[:-7]
    elif damage == "empty":
        content = bytearray()
    elif damage == "longer":
        content += b"\0" * 8
    elif damage == "header":
        content = content.replace(b'"atoms"', b'"atomz"')
    else:  # one bit, anywhere in the file
        content[len(content) * int(damage) // 8 + 3] ^= 4
    victim.write_bytes(content)
    with pytest.raises(NotPreparedError, match=r"5 of 5 molecules .*run: python -m bench prepare"):
        cache.load(ALKANES[:5])
    cache.ensure(ALKANES[:5], 1, silent)
    same(cache.load(ALKANES[:5]).batch(range(5), "ogb"), reference(ALKANES[:5], "ogb"))
    assert len(list(cache.folder.iterdir())) == 1


def test_a_failed_write_leaves_nothing(cache: GraphCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        cache.ensure(ALKANES[:5], 1, silent)
    assert list(cache.folder.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the system does not list what is mapped")
def test_graphs_stay_on_disk(cache: GraphCache) -> None:
    cache.ensure(ALKANES[:5], 1, silent)
    graphs = cache.load(ALKANES[:5])
    (pack,) = cache.folder.iterdir()
    assert pack.name in Path("/proc/self/maps").read_text()
    assert len(graphs) == 5


CHILD = """
import sys
from tasks.graph.cache import GraphCache
if __name__ == "__main__":
    GraphCache().ensure(["N"], 1, print)  # loads all that is needed
    print("ready", flush=True)
    sys.stdin.readline()
    GraphCache().ensure(["C" * length for length in range(1, 40)], 1, print)
"""


def test_two_processes_at_once_leave_one_valid_cache(cache: GraphCache, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(tasks.__file__).parents[1])}
    children = [
        subprocess.Popen(
            [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        while child.stdout.readline() not in ("ready\n", ""):
            pass
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert len(list(cache.folder.iterdir())) == 2  # the packs of "N" and of the alkanes, no temporary files
    same(cache.load(ALKANES).batch(range(39), "published"), reference(ALKANES, "published"))
