"""Unlabelled molecules of a user's own, and a hold-out that does without the tables that cannot be had."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from rdkit import Chem

from bench.errors import NotPreparedError, RequestError
from bench.files import digest, home
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.corpus import corpus_folder, describe_corpus, load_corpus
from tasks.molecules.demo import demo_corpus, demo_rows
from tasks.molecules.files import corpus_files, read_molecules, renew_own_files
from tasks.molecules.prepare import prepare_molecules
from tasks.molecules.table import load_meta, load_table
from tasks.settings import CorpusSettings
from tests.tasks.protocol import corpus_settings

SETTINGS = corpus_settings(molecules=400, clusters=(2, 3, 4), shares={"mine": 1.0})
EXTRA = demo_corpus()[900:980]


def written_otherwise(smiles: str) -> str:
    """Return other SMILES of the same molecule, and a name behind them."""
    molecule = Chem.MolFromSmiles(smiles)
    return f"{Chem.MolToSmiles(molecule, canonical=False, rootedAtAtom=molecule.GetNumAtoms() - 1)} some name"


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> SuiteInfo:
    """The demo with unlabelled molecules of files, and a third task whose table has no public address."""
    demo = suites()["demo"]
    rings, logp = (next(task for task in demo.tasks if task.name == name) for name in ("rings", "logp"))
    fields = {"name": "extra", "file": "set/extra.csv.gz", "targets": ("y",), "smiles": "smiles"}
    tasks = (rings, logp, logp.model_copy(update=fields))
    made = demo.model_copy(update={"corpus": "files", "tasks": tasks})
    monkeypatch.setattr("tasks.molecules.prepare.suites", lambda: {"demo": made})
    return made


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with an own file: 500 molecules, and all those of the tasks, none as its table has it; a new cache."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    tables = [smiles for name in ("rings", "logp") for smiles, _ in demo_rows(name)]
    put(tmp_path / "mirror", [*demo_corpus()[:500], *tables, *EXTRA])
    return tmp_path / "mirror"


def put(mirror: Path, molecules: list[str]) -> None:
    path = mirror / "molecules" / "mine.smi"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{written_otherwise(one)}\n" for one in molecules))


def put_extra(mirror: Path) -> None:
    path = mirror / "set" / "extra.csv.gz"
    path.parent.mkdir(exist_ok=True)
    lines = ["smiles,y", *(f"{smiles},{number}" for number, smiles in enumerate(EXTRA))]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def prepare(tasks: tuple[TaskInfo, ...], mirror: Path | None, settings: CorpusSettings = SETTINGS) -> list[str]:
    """Prepare as a backbone does; return what was said."""
    said: list[str] = []
    where = str(mirror) if mirror else None
    prepare_molecules(tasks, settings, mirror=where, download=False, workers=1, say=said.append)
    return said


def held_out(*tasks: TaskInfo) -> set[str]:
    tables = [load_table(task) for task in tasks]
    return {table.smiles[row] for table in tables for part in (table.val, table.test) for row in part}


@pytest.mark.parametrize("packed", [True, False])
def test_an_own_file_is_made_canonical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tasks.molecules.files.CHUNK", 3)
    long = "C" * 500
    lines = ["\ufeffOCC", "C(C)O ethanol again", "smiles", "N[C@@H](C)C(=O)O\tL-alanine", "", " [2H]C", long,
             f"{long}C", "C1CC", "[O-]C(=O)C.[Na+]", "C[C@@H](N)C(O)=O D", "CCO"]  # fmt: skip
    content = "\r\n".join(lines).encode()
    path = tmp_path / "mirror" / "molecules" / ("mine.smi.gz" if packed else "mine.smi")
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if packed else content)
    renew_own_files(SETTINGS, mirror=str(tmp_path / "mirror"), download=False)
    said: list[str] = []
    for _ in range(2):
        found = read_molecules("mine", mirror=None, download=False, workers=1, say=said.append)
        assert found == ["CCO", "C[C@H](N)C(=O)O", "[2H]C", long, "CC(=O)[O-].[Na+]", "C[C@@H](N)C(=O)O"]
    assert said == [
        "molecules/mine: 11 lines, 6 molecules kept; dropped: 2 that RDKit does not read, 1 over 500 characters, "
        "2 repeated"
    ]
    assert capfd.readouterr().err == ""
    (kept,) = (home() / "molecules").iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])  # damaged: made anew
    assert read_molecules("mine", mirror=None, download=False, workers=1, say=said.append) == found
    assert len(said) == 2


def test_held_out_molecules_stay_out_however_they_are_written(suite: SuiteInfo, mirror: Path) -> None:
    put_extra(mirror)
    said = prepare(suite.tasks[:1], mirror, SETTINGS)
    corpus, out = load_corpus(suite, SETTINGS), held_out(*suite.tasks)
    assert not set(corpus.smiles) & out
    assert set(corpus.smiles) & {smiles for smiles, _ in demo_rows("rings")}, "training molecules stay"
    assert 0 < corpus.meta["excluded"]["mine"] <= len(out)
    assert corpus.meta["sources"] == {"mine": 400}
    assert not any("not held out" in line for line in said)
    everything = SETTINGS.model_copy(update={"exclude": "none"})
    prepare(suite.tasks[:1], mirror, everything)
    assert set(load_corpus(suite, everything).smiles) & out


def test_a_replaced_file_is_noticed(suite: SuiteInfo, mirror: Path) -> None:
    prepare(suite.tasks[:1], mirror)
    first = load_corpus(suite, SETTINGS)
    stamps = {path: path.stat().st_mtime_ns for path in home().rglob("*") if path.is_file()}
    prepare(suite.tasks[:1], mirror)
    assert {path: path.stat().st_mtime_ns for path in home().rglob("*") if path.is_file()} == stamps
    put(mirror, list(demo_corpus()[1000:1500]))
    assert describe_corpus(suite, SETTINGS)["checksum"] == first.meta["checksum"], "until it is prepared"
    prepare(suite.tasks[:1], mirror)
    assert describe_corpus(suite, SETTINGS)["checksum"] != first.meta["checksum"]
    assert set(load_corpus(suite, SETTINGS).smiles) <= set(demo_corpus()[1000:1500])


def test_a_prepared_corpus_needs_neither_mirror_nor_raw_file(suite: SuiteInfo, mirror: Path) -> None:
    prepare(suite.tasks[:1], mirror)
    told = describe_corpus(suite, SETTINGS)
    shutil.rmtree(mirror)
    (home() / "data" / "molecules" / "mine.smi.gz").unlink()
    shutil.copytree(home(), home().with_name("other"), copy_function=shutil.copyfile)  # without the times of the files
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(home().with_name("other")))
        assert describe_corpus(suite, SETTINGS) == told
        assert load_corpus(suite, SETTINGS).meta["checksum"] == told["checksum"]
        smaller = SETTINGS.model_copy(update={"molecules": 500})
        prepare(suite.tasks[:1], None, smaller)  # its molecules are there too
        assert len(load_corpus(suite, smaller).smiles) == 500


def test_a_file_in_the_cache_will_do(suite: SuiteInfo, mirror: Path) -> None:
    path = home() / "data" / "molecules" / "mine.smi.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress((mirror / "molecules" / "mine.smi").read_bytes()))
    with pytest.raises(NotPreparedError, match="python -m bench prepare"):
        describe_corpus(suite, SETTINGS)
    prepare(suite.tasks[:1], None)
    assert len(load_corpus(suite, SETTINGS).smiles) == 400


def test_molecules_of_two_files_come_once(suite: SuiteInfo, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.molecules.files.corpus_files", lambda: {"zinc": ""})
    known = demo_corpus()[300:700]
    (mirror / "molecules" / "zinc.smi.gz").write_bytes(gzip.compress("\n".join(known).encode()))
    settings = SETTINGS.model_copy(update={"shares": {"mine": 0.5, "zinc": 0.5}})
    prepare(suite.tasks[:1], mirror, settings)
    corpus = load_corpus(suite, settings)
    assert len(set(corpus.smiles)) == 400
    assert corpus.meta["sources"] == {"mine": 200, "zinc": 200}


def test_folders_are_named_as_ever(suite: SuiteInfo, mirror: Path) -> None:
    put_extra(mirror)
    prepare(suite.tasks, mirror)
    tables = [load_meta(task) for task in suite.tasks]
    known = {"zinc": 0.25, "chembl": 0.75, "unheard-of": 0.0}
    checksums = {"zinc": corpus_files()["zinc"], "chembl": corpus_files()["chembl"], "unheard-of": None}
    own = hashlib.sha256((mirror / "molecules" / "mine.smi").read_bytes()).hexdigest()
    for shares, files in ((known, checksums), (SETTINGS.shares, {"mine": own})):
        settings = SETTINGS.model_copy(update={"shares": shares})
        determined = {
            "format": 1,
            "corpus": "files",
            "settings": settings.model_dump(mode="json"),
            "rdkit": version("rdkit"),
            "scikit-learn": version("scikit-learn"),
            "files": files,
            "held out": sorted([table["checksum"], table["split_checksum"]] for table in tables),
        }
        assert corpus_folder(suite, settings) == home() / "corpora" / digest(determined)


def test_a_table_that_cannot_be_had_is_done_without_until_it_can(suite: SuiteInfo, mirror: Path) -> None:
    rings, logp, extra = suite.tasks
    said = prepare((rings,), mirror)
    assert "not held out, since it cannot be had: demo:extra" in said
    before, folder = load_corpus(suite, SETTINGS), corpus_folder(suite, SETTINGS)
    assert before.meta["not_held_out"] == ["demo:extra"]
    assert "not_held_out" not in describe_corpus(suite, SETTINGS)
    assert not set(before.smiles) & held_out(rings, logp), "logp was not asked for, but its table can be had"
    with pytest.raises(NotPreparedError, match=r"set/extra.csv.gz: not found"):
        prepare((extra,), mirror)
    put_extra(mirror)
    said = prepare((extra,), mirror)
    assert not any("not held out" in line for line in said)
    assert corpus_folder(suite, SETTINGS) != folder
    assert set(before.smiles) & held_out(extra), "or this shows nothing"
    after = load_corpus(suite, SETTINGS)
    assert not set(after.smiles) & held_out(rings, logp, extra)
    assert "not_held_out" not in after.meta
    assert describe_corpus(suite, SETTINGS) == after.meta


def test_a_damaged_table_of_another_task_is_no_missing_one(suite: SuiteInfo, mirror: Path) -> None:
    put_extra(mirror)
    prepare(suite.tasks[:1], mirror)
    (path,) = (home() / "tables").glob("demo-extra-*/table.npz")
    path.write_bytes(path.read_bytes()[:-50])
    shutil.rmtree(mirror / "set")
    (home() / "data" / "set" / "extra.csv.gz").unlink()
    with pytest.raises(NotPreparedError, match=r"set/extra.csv.gz: not found"):
        prepare(suite.tasks[:1], mirror)


def test_an_unknown_name_without_a_file_says_how_to_bring_one(suite: SuiteInfo, mirror: Path) -> None:
    settings = SETTINGS.model_copy(update={"shares": {"zink": 1.0}})
    with pytest.raises(RequestError) as caught:
        prepare(suite.tasks[:1], mirror, settings)
    for part in ("corpus.shares: 'zink' is not known; did you mean zinc?", "molecules/zink.smi", "--mirror FOLDER"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    for name in ("mine.smi", "mine.smi.gz", "../mine", "a/mine"):
        with pytest.raises(RequestError, match="without folder and ending"):
            prepare(suite.tasks[:1], mirror, SETTINGS.model_copy(update={"shares": {name: 1.0}}))
