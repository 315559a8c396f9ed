"""The corpus: what is sampled, what is kept out, and what happens to damaged files."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import NotPreparedError, RequestError
from tasks.catalogue import suites
from tasks.info import SuiteInfo
from tasks.molecules.clusters import assign, maccs_keys
from tasks.molecules.corpus import corpus_folder, describe_corpus, load_corpus, prepare_corpus
from tasks.molecules.demo import demo_corpus, demo_rows
from tasks.molecules.sample import prepare_tables
from tasks.molecules.table import load_table, molecule_tasks
from tasks.settings import CorpusSettings
from tests.tasks.protocol import corpus_settings

SMALL = {"molecules": 400, "clusters": (2, 3, 4)}


def silent(_: str) -> None:
    pass


def prepare(suite: SuiteInfo, settings: CorpusSettings, mirror: Path | None = None) -> None:
    where = str(mirror) if mirror else None
    prepare_tables(molecule_tasks(suite), mirror=where, download=False, workers=1, say=silent)
    prepare_corpus(suite, settings, mirror=where, download=False, workers=1, say=silent)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with two corpus files, one of which holds the test molecules of a demo task."""
    folder = tmp_path / "mirror" / "molecules"
    folder.mkdir(parents=True)
    rows = [smiles for name in ("rings", "logp") for smiles, _ in demo_rows(name)]
    for name, lines in {"zinc": [*rows, *demo_corpus()[:600]], "chembl": demo_corpus()[600:900]}.items():
        (folder / f"{name}.smi.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    # Not the published files, so their content is not checked.
    monkeypatch.setattr("tasks.molecules.files.corpus_files", lambda: {"zinc": "", "chembl": ""})
    return tmp_path / "mirror"


def held_out(suite: SuiteInfo) -> set[str]:
    tables = [load_table(task) for task in molecule_tasks(suite)]
    return {table.smiles[row] for table in tables for part in (table.val, table.test) for row in part}


def test_demo_corpus_is_sampled_and_labelled() -> None:
    suite, settings = suites()["demo"], corpus_settings(**SMALL)
    prepare(suite, settings)
    corpus = load_corpus(suite, settings)
    assert len(set(corpus.smiles)) == 400
    assert set(corpus.smiles) <= set(demo_corpus())
    assert not set(corpus.smiles) & held_out(suite)
    keys = maccs_keys(corpus.smiles)
    for column, k in enumerate((2, 3, 4)):
        assert corpus.centroids[column].shape == (k, 166)
        assert np.array_equal(corpus.clusters[:, column], assign(keys, corpus.centroids[column]))
    assert describe_corpus(suite, settings) == corpus.meta
    assert corpus.meta["molecules"] == 400
    assert corpus.meta["clusters"] == [2, 3, 4]


def test_tasks_of_other_inputs_change_nothing(own_home: Path) -> None:
    suite, settings = suites()["demo"], corpus_settings(**SMALL)
    assert len(molecule_tasks(suite)) < len(suite.tasks), "the demo has a text task too"
    prepare(suite, settings)
    molecules = suite.model_copy(update={"tasks": tuple(molecule_tasks(suite))})
    assert load_corpus(molecules, settings).smiles == load_corpus(suite, settings).smiles
    assert corpus_folder(molecules, settings) == corpus_folder(suite, settings)


def test_other_seed_other_sample_same_seed_same_bits(own_home: Path) -> None:
    suite, settings = suites()["demo"], corpus_settings(**SMALL)
    prepare(suite, settings)
    first = load_corpus(suite, settings)
    prepare(suite, corpus_settings(**SMALL, seed=1))
    assert set(load_corpus(suite, corpus_settings(**SMALL, seed=1)).smiles) != set(first.smiles)
    for path in (own_home / "corpora").rglob("*.*"):
        path.unlink()
    prepare(suite, settings)
    again = load_corpus(suite, settings)
    assert again.smiles == first.smiles
    assert again.meta == first.meta


def test_files_fill_their_shares_without_held_out_molecules(files: Path, own_home: Path) -> None:
    suite = suites()["demo"].model_copy(update={"corpus": "files"})
    shares = {"zinc": 0.625, "chembl": 0.375}
    settings = corpus_settings(molecules=800, clusters=(2, 4, 8), shares=shares)
    prepare(suite, settings, files)
    corpus, kept_out = load_corpus(suite, settings), held_out(suite)
    assert not set(corpus.smiles) & kept_out
    assert corpus.meta["sources"] == {"chembl": 300, "zinc": 500}
    assert sum(smiles in set(demo_corpus()[600:900]) for smiles in corpus.smiles) == 300
    assert 0 < corpus.meta["excluded"]["zinc"] <= len(kept_out)
    assert corpus.meta["excluded"]["chembl"] == 0
    # Training molecules are no secret: they stay in.
    assert any(smiles in corpus.smiles for smiles, _ in demo_rows("rings"))
    everything = corpus_settings(molecules=800, clusters=(2, 4, 8), shares=shares, exclude="none")
    prepare(suite, everything, files)
    assert set(load_corpus(suite, everything).smiles) & kept_out


def test_every_held_out_molecule_met_is_counted(files: Path, own_home: Path) -> None:
    suite = suites()["demo"].model_copy(update={"corpus": "files"})
    settings = corpus_settings(molecules=1300, clusters=(2, 4, 8), shares={"zinc": 1.0})
    with pytest.raises(RequestError, match=r"at most the 1,112 molecules.*got 1,300; lower this share"):
        prepare(suite, settings, files)  # 1,240 lines, of which 2 * 64 are held out
    whole = corpus_settings(molecules=1112, clusters=(2, 4, 8), shares={"zinc": 1.0})
    prepare(suite, whole, files)
    assert load_corpus(suite, whole).meta["excluded"] == {"zinc": 128}


def test_an_unknown_name_is_refused(files: Path, own_home: Path) -> None:
    suite = suites()["demo"].model_copy(update={"corpus": "files"})
    with pytest.raises(RequestError, match="'zink' is not known; did you mean zinc"):
        prepare(suite, corpus_settings(**SMALL, shares={"zink": 1.0}), files)
    with pytest.raises(RequestError, match=r"names of files without folder and ending, got 'a/zinc'; .*known: chembl"):
        prepare(suite, corpus_settings(**SMALL, shares={"a/zinc": 1.0}), files)
    with pytest.raises(NotPreparedError, match=r"'zink' is not known; .*molecules/zink.smi .* --mirror FOLDER"):
        describe_corpus(suite, corpus_settings(**SMALL, shares={"zink": 1.0}))


def test_preparing_again_writes_nothing(own_home: Path) -> None:
    suite, settings = suites()["demo"], corpus_settings(**SMALL)
    prepare(suite, settings)
    before = {path: path.stat().st_mtime_ns for path in (own_home / "corpora").rglob("*.*")}
    assert len(before) == 3
    prepare(suite, settings)
    assert {path: path.stat().st_mtime_ns for path in (own_home / "corpora").rglob("*.*")} == before


@pytest.mark.parametrize("name", ["molecules.smi.gz", "clusters.npz", "meta.json"])
def test_damage_is_noticed_and_mended(own_home: Path, name: str) -> None:
    suite, settings = suites()["demo"], corpus_settings(**SMALL)
    prepare(suite, settings)
    whole = load_corpus(suite, settings)
    (path,) = (own_home / "corpora").rglob(name)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(NotPreparedError, match=r"corpus of demo: .*bench prepare --tasks demo"):
        load_corpus(suite, settings)
    prepare(suite, settings)
    assert load_corpus(suite, settings).smiles == whole.smiles


def test_missing_corpus_names_the_command(own_home: Path) -> None:
    suite = suites()["demo"]
    with pytest.raises(NotPreparedError, match="bench prepare --tasks demo"):
        describe_corpus(suite, corpus_settings(exclude="none"))
    with pytest.raises(NotPreparedError, match="bench prepare"):
        describe_corpus(suite, corpus_settings())


def test_describing_needs_neither_torch_nor_rdkit() -> None:
    modules = "tasks.molecules.corpus, tasks.backbones.resnet18"
    code = f"import sys, {modules}; print('torch' in sys.modules, 'rdkit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.data
def test_published_files_give_a_corpus(mirror: Path) -> None:
    suite = suites()["moleculenet"].model_copy(
        update={"tasks": tuple(task for task in suites()["moleculenet"].tasks if task.name == "bace")}
    )
    settings = corpus_settings()
    prepare(suite, settings, mirror)
    corpus = load_corpus(suite, settings)
    assert corpus.meta["sources"] == {"chembl": 560, "moses_neutralized": 240, "pubchem": 320, "zinc": 480}
    assert len(set(corpus.smiles)) == 1600
    assert not set(corpus.smiles) & held_out(suite)
