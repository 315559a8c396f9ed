"""Tables: cleaning and counting by hand, the cache, errors, and the real sets against their documentation."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from bench.errors import NotPreparedError, RequestError
from bench.files import home
from tasks import catalogue
from tasks.info import TaskInfo
from tasks.molecules import read
from tasks.molecules.table import load_meta, load_table, prepare_table

HEADER = "id,smiles,a,b\n"
ROWS = (
    "1,OCC,1,0\n2,c1ccccc1C,0,\n3,CCC(,1,1\n4,OCC,0,0\n5,C1CCCCC1,,1\n6,,1,1\n7,CCO,1,0\n"
    "8,c1ccncc1,0,1\n9,C1CCNC1,1,1\n10,c1ccoc1,0,0\n11,c1ccsc1,1,0\n12,CC,0,0\n13,CCC,1,0\n"
)


@pytest.fixture(autouse=True)
def fresh_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, save for real sets: preparing those once is enough."""
    if "mirror" not in request.fixturenames:
        monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., tuple[TaskInfo, object]]:
    """Write a CSV into a mirror and return its entry and its table."""

    def make(text: str = HEADER + ROWS, **fields: object) -> tuple[TaskInfo, object]:
        mirror = tmp_path / "mirror"
        entry = {
            "suite": "own",
            "name": "set",
            "title": "Set",
            "kind": "classification",
            "metric": "roc_auc",
            "file": "own/set.csv.gz",
            "targets": ("a", "b"),
            "rows": 11,
        }
        info = TaskInfo.model_validate(entry | fields)
        path = mirror / info.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
        return info, prepare_table(info, mirror=str(mirror), download=False)

    return make


def test_rows_are_cleaned_and_counted(prepare) -> None:
    _, table = prepare()
    assert table.smiles[:4] == ("CCO", "Cc1ccccc1", "CCO", "C1CCCCC1")
    np.testing.assert_array_equal(table.labels[:4], [[1, 0], [0, np.nan], [0, 0], [np.nan, 1]])
    # N = 11; the chains (rows 0, 2, 4, 9, 10) come first, then single rings from the end.
    assert table.train.tolist() == [0, 2, 4, 6, 7, 8, 9, 10]
    assert (table.val.tolist(), table.test.tolist()) == ([5], [1, 3])
    assert table.counts == {
        "rows": 13,
        "unparsable": 2,
        "duplicates_dropped": 0,
        "kept": 11,
        "train": 8,
        "val": 1,
        "test": 2,
        "missing_labels": 2,
    }


def test_first_of_duplicates_goes_by_the_string(prepare) -> None:
    _, table = prepare(duplicates="first")
    # OCC of row 4 goes; CCO of row 7 is the same molecule but another string.
    assert table.counts["duplicates_dropped"] == 1
    assert table.smiles.count("CCO") == 2
    np.testing.assert_array_equal(table.labels[0], [1, 0])


def test_the_cache_gives_back_the_same_table_without_reading_the_file(prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    info, made = prepare()
    monkeypatch.setattr(read, "read_rows", lambda *_, **__: pytest.fail("read again"))
    for found in (load_table(info), prepare_table(info, mirror=None, download=False)):
        assert found.smiles == made.smiles
        for name in ("labels", "train", "val", "test"):
            np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
            with pytest.raises(ValueError, match="read-only"):
                getattr(found, name)[0] = 0
        assert (found.checksum, found.split_checksum, found.counts) == (made.checksum, made.split_checksum, made.counts)
    meta = load_meta(info)
    assert (meta["checksum"], meta["split_checksum"], meta["counts"]) == (
        made.checksum,
        made.split_checksum,
        made.counts,
    )


def test_an_edited_file_without_a_checksum_gives_another_table(prepare) -> None:
    info, first = prepare()
    _, same = prepare()
    other, edited = prepare(HEADER + ROWS.replace("OCC,1,0", "OCC,0,0"))
    assert other == info
    assert same.checksum == first.checksum != edited.checksum
    assert load_table(info).checksum == edited.checksum


def test_checksums_see_what_they_should(prepare) -> None:
    _, base = prepare()
    _, cached = prepare(title="x")
    assert cached.checksum == base.checksum  # the cached table of the same file
    _, other_label = prepare(HEADER + ROWS.replace("13,CCC,1,0", "13,CCC,0,0"), file="own/b.csv.gz")
    assert other_label.checksum != base.checksum
    assert other_label.split_checksum == base.split_checksum
    _, same = prepare(HEADER.replace("id", "number") + ROWS, file="own/c.csv.gz")
    assert same.checksum == base.checksum
    _, fewer = prepare(HEADER + ROWS.replace("13,CCC,1,0\n", ""), file="own/d.csv.gz")
    assert fewer.split_checksum != base.split_checksum


def test_a_damaged_table_is_refused_and_mended_by_preparing(prepare) -> None:
    info, made = prepare()
    (path,) = home().glob("tables/own-set-*/table.npz")
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"x" + whole[1:]):
        path.write_bytes(content)
        with pytest.raises(NotPreparedError, match=r"own:set.*python -m bench prepare --tasks own:set"):
            load_table(info)
    assert prepare()[1].checksum == made.checksum
    meta = path.with_name("meta.json")
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"checksum": "0"}))
    with pytest.raises(NotPreparedError, match="checksum"):
        load_table(info)
    meta.unlink()
    with pytest.raises(NotPreparedError, match="python -m bench prepare --tasks own:set"):
        load_meta(info)


@pytest.mark.parametrize(
    ("text", "fields", "error", "message"),
    [
        (HEADER + ROWS, {"smiles": "smile"}, NotPreparedError, "no column 'smile'; the nearest are 'smiles'"),
        (HEADER + ROWS, {"targets": ("a", "bb")}, NotPreparedError, "no column 'bb'; the nearest are 'b'"),
        ("", {}, NotPreparedError, "not a CSV file"),
        (HEADER + '1,"CC', {}, NotPreparedError, "not a CSV file"),
        (HEADER + ROWS + "14,C,yes,0\n", {}, RequestError, "'a', row 14: expected 0, 1 or blank, got 'yes'"),
        (HEADER + ROWS + "14,C,1,-1\n", {}, RequestError, "'b', row 14: expected 0, 1 or blank, got '-1.0'"),
        (
            HEADER + ROWS + "14,C,1,inf\n",
            {"kind": "regression", "metric": "mae"},
            RequestError,
            "expected a number, got 'inf'",
        ),
        (
            HEADER + "1,C,1,0\n2,c1ccccc1,0,1\n",
            {},
            RequestError,
            "all parts of the scaffold split, got train 1, val 0, test 1",
        ),
        (HEADER, {}, RequestError, "got train 0, val 0, test 0"),
    ],
)
def test_what_is_wrong_is_named(prepare, text: str, fields: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"own:set.*{message}"):
        prepare(text, **fields)
    assert not list(home().glob("tables/*/*"))


def test_rdkit_stays_quiet_and_its_log_comes_back() -> None:
    code = (
        "from rdkit import Chem; from tasks.molecules.read import _parse;"
        "print(_parse(('C(', 'CC'), [0, 1])[0]); Chem.MolFromSmiles('afterwards')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1]"
    assert "C(" not in done.stderr
    assert "afterwards" in done.stderr


def test_metadata_needs_neither_torch_nor_rdkit(prepare) -> None:
    prepare_table(catalogue.get("demo:rings"), mirror=None, download=False)
    code = (
        "import sys; from tasks import catalogue; from tasks.molecules.table import load_meta;"
        "load_meta(catalogue.get('demo:rings')); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "rdkit", "pandas", "sklearn"} & set(loaded)


# name -> rows of the CSV, unparsable, duplicates dropped, positive labels, negative labels.
CLASSES = {
    "bace": (1513, 0, 0, 691, 822),
    "bbbp": (2050, 11, 0, 1560, 479),
    "clintox": (1478, 0, 0, (1366 + 18) + (94 + 18), 94 + 1366),
    "sider": (1427, 0, 0, 21868, 16661),
    "tox21": (7831, 8, 0, 5858, 72006),
    "toxcast": (8576, 0, 0, 126651, 1407009),
    "hiv": (41127, 7, 0, 1443, 39677),
    "muv": (93127, 0, 40, 489, 249397),
}
# name -> rows of the CSV, smallest and largest label in the task's units.
VALUES = {
    "freesolv": (642, -25.47, 3.43),
    "esol": (1128, -11.6, 1.58),
    "lipophilicity": (4200, -1.5, 4.5),
    "qm7": (6830, -2192.0, -404.88),
}
BIG = ("hiv", "muv")


def real(mirror: Path, name: str):
    info = catalogue.get(f"moleculenet:{name}")
    table = prepare_table(info, mirror=str(mirror), download=False)
    assert table.counts["kept"] == len(table.smiles) == len(table.labels) == info.rows
    assert table.labels.shape[1] == info.outputs
    return table


@pytest.mark.data
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in BIG)) for n in CLASSES])
def test_class_sets_hold_what_their_documentation_says(mirror: Path, name: str) -> None:
    table = real(mirror, name)
    rows, unparsable, duplicates, positive, negative = CLASSES[name]
    counts = table.counts
    assert (counts["rows"], counts["unparsable"], counts["duplicates_dropped"]) == (rows, unparsable, duplicates)
    assert (int((table.labels == 1).sum()), int((table.labels == 0).sum())) == (positive, negative)
    assert counts["missing_labels"] == table.labels.size - positive - negative
    share = {"tox21": 0.171, "toxcast": 0.710, "muv": 0.842}.get(name, 0.0)
    assert counts["missing_labels"] / table.labels.size == pytest.approx(share, abs=0.001)


@pytest.mark.data
@pytest.mark.parametrize("name", VALUES)
def test_value_sets_hold_what_their_documentation_says(mirror: Path, name: str) -> None:
    table = real(mirror, name)
    rows, low, high = VALUES[name]
    assert table.counts["rows"] == rows
    assert table.counts["missing_labels"] == table.counts["unparsable"] == 0
    assert (round(table.labels.min(), 2), round(table.labels.max(), 2)) == (low, high)


@pytest.mark.data
@pytest.mark.slow
def test_qm9_has_gap_equal_to_lumo_minus_homo(mirror: Path) -> None:
    table = real(mirror, "qm9")
    homo, lumo, gap = table.labels.T
    np.testing.assert_allclose(gap, lumo - homo, atol=2e-4)
    assert table.smiles[:5] == ("C", "N", "O", "C#C", "C#N")
    assert homo[0] == -0.3877


@pytest.mark.data
def test_rows_and_labels_stay_together(mirror: Path) -> None:
    table = real(mirror, "esol")
    found = dict(zip(table.smiles, table.labels[:, 0], strict=True))
    assert found[Chem.CanonSmiles("Cc1occc1C(=O)Nc2ccccc2")] == -3.3  # fenfuram
    assert found[Chem.CanonSmiles("CC(C)=CCCC(C)=CC(=O)")] == -2.06  # citral
