"""Tables of text: the split of the seed, counts by hand, and a cache that notices damage."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bench.errors import NotPreparedError, RequestError
from bench.files import home
from tasks import catalogue
from tasks.info import TaskInfo
from tasks.text import table as tables
from tasks.text.split import Sizes, split_rows
from tasks.text.table import TextTable, describe_table, load_table, prepare_table
from tests.tasks.text.made import TEST, TRAIN, task


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def prepared(mirror: Path, *arguments: Any, **changes: Any) -> TaskInfo:
    info = task(mirror, *arguments, **changes)
    prepare_table(info, mirror=str(mirror), download=False)
    return info


def same(one: TextTable, other: TextTable) -> bool:
    return all(
        np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
        for name in (field.name for field in dataclasses.fields(one) if field.name != "parts")
        for mine, theirs in [(getattr(one, name), getattr(other, name))]
    )


def test_a_seeded_split_takes_a_ninth_of_the_training_rows(tmp_path: Path) -> None:
    info = prepared(tmp_path)
    table = load_table(info, 0)
    assert len(table.val) == 2
    assert sorted([*table.train, *table.val]) == list(range(18))
    assert table.test.tolist() == [18, 19]
    assert [table.first[row] for row in table.test] == ["fine", "bad"]
    np.testing.assert_array_equal(table.labels[table.test], [[1], [0]])
    np.testing.assert_array_equal(table.labels[:4, 0], [1, 0, 0, 1])
    assert table.second is None
    assert same(table, load_table(info, 0))
    others = [load_table(info, seed) for seed in range(1, 6)]
    assert len({tuple(other.val) for other in others}) > 1
    assert all(np.array_equal(other.test, table.test) for other in others)
    assert {other.checksum for other in others} == {table.checksum}
    assert len({other.split_checksum for other in [*others, table]}) == len({tuple(t.val) for t in [*others, table]})


@pytest.mark.parametrize(("rows", "share"), [(5, 1), (9, 1), (2490, 277), (8551, 950), (104743, 11638)])
def test_the_split_is_the_rounded_ninth_and_never_changes(rows: int, share: int) -> None:
    split = split_rows(Sizes(rows, 0, {"test": 3}), 7)
    assert len(split.val) == share
    assert np.array_equal(np.sort(np.concatenate([split.train, split.val])), np.arange(rows))
    assert all((np.diff(part) > 0).all() for part in (split.train, split.val, split.test))
    if rows == 2490:
        # The numbers of a released version: whoever changes them makes records of other splits under the same name.
        assert split.val[:5].tolist() == [6, 7, 15, 28, 41]


def test_official_parts_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    info = prepared(tmp_path, TRAIN, TEST, "sentence\tlabel\nval\tno\n")
    table = load_table(info, 0)
    assert (table.train.tolist(), table.val.tolist(), table.test.tolist()) == (list(range(18)), [18], [19, 20])
    assert table.first[18] == "val"
    assert same(table, load_table(info, 1))


def test_several_test_files_are_pooled_in_the_order_of_the_entry(tmp_path: Path) -> None:
    header = "sentence\tlabel\n"
    info = prepared(tmp_path, TRAIN, {"z": header + "z1\tno\nz2\tno\n", "a": header + "a1\tyes\n"})
    table = load_table(info, 3)
    assert [table.first[row] for row in table.test] == ["z1", "z2", "a1"]
    assert {name: [table.first[row] for row in rows] for name, rows in table.parts.items()} == {
        "z": ["z1", "z2"],
        "a": ["a1"],
    }
    assert {key: table.counts[key] for key in ("test", "test[z]", "test[a]")} == {"test": 3, "test[z]": 2, "test[a]": 1}


def test_repeats_and_leaks_are_kept_and_counted(tmp_path: Path) -> None:
    header = "sentence\tother\tlabel\n"
    train = header + "a\tb\tno\na\tb\tno\na\tb\tyes\na\tc\tyes\n\tx\tno\nd\te\tyes\n"
    val = header + "a\tb\tno\nq\tr\tno\n"
    test = header + "d\te\tno\nd\te\tyes\nb\ta\tyes\n"
    info = prepared(tmp_path, train, test, val, second="other", rows_each={"train": 5})
    counts = describe_table(info, 0)["counts"]
    assert counts == {
        "rows": 11,
        "empty_dropped": 1,
        "kept": 10,
        "train": 5,
        "val": 2,
        "test": 3,
        "repeated_train_texts": 2,
        "repeated_test_texts": 1,
        "ambiguous_train_texts": 1,
        "val_texts_in_train": 1,
        "test_texts_in_train": 2,
    }
    table = load_table(info, 0)
    assert table.second is not None
    assert list(zip(table.first, table.second, strict=True))[:4] == [("a", "b"), ("a", "b"), ("a", "b"), ("a", "c")]
    assert table.counts == counts


def test_any_text_survives_the_cache(tmp_path: Path) -> None:
    texts = ["naïve café", "日本語", "😀 x", "tail ", '"q"', "\x00null", "a\u2028b"]
    train = "sentence\tlabel\n" + "".join(f"{text}\t{'yes' if row else 'no'}\n" for row, text in enumerate(texts))
    assert load_table(prepared(tmp_path, train), 0).first[: len(texts)] == tuple(texts)


def test_the_cache_needs_no_files_and_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = prepared(tmp_path / "mirror")
    made = load_table(info, 0)
    shutil.rmtree(tmp_path / "mirror")
    for path in home().glob("data/*/*.gz"):
        path.unlink()  # what stays beside them tells which content the table is of
    monkeypatch.setattr(tables, "read_rows", lambda *_: pytest.fail("read again"))
    prepare_table(info, mirror=None, download=False)
    found = load_table(info, 0)
    assert same(found, made)
    for array in (found.labels, found.train, found.val, found.test, *found.parts.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    told = describe_table(info, 0)
    assert (told["checksum"], told["split_checksum"], told["counts"]) == (
        made.checksum,
        made.split_checksum,
        made.counts,
    )


def test_checksums_see_texts_labels_and_sizes(tmp_path: Path) -> None:
    header = "sentence\tlabel\n"
    val = header + "val\tno\n"
    found = [
        load_table(prepared(tmp_path, *files, folder=str(number)), 0)
        for number, files in enumerate(
            [
                (TRAIN, TEST, val),
                (TRAIN.replace("text 3\t", "text 3 \t"), TEST, val),
                (TRAIN.replace("text 3\tyes", "text 3\tno"), TEST, val),
                (TRAIN + "val\tno\n", TEST, header + "fine\tyes\n"),
            ]
        )
    ]
    assert len({table.checksum for table in found}) == 4
    assert [table.split_checksum == found[0].split_checksum for table in found] == [True, True, True, False]
    # Row by row the same texts and labels, with other sizes of the parts.
    moved = load_table(
        prepared(tmp_path, TRAIN + "val\tno\n", header + "bad\tno\n", header + "fine\tyes\n", folder="moved"), 0
    )
    assert (moved.first, moved.labels.tolist()) == (found[0].first, found[0].labels.tolist())
    assert moved.checksum != found[0].checksum


def test_a_damaged_table_is_refused_and_mended_by_preparing(tmp_path: Path) -> None:
    info = prepared(tmp_path)
    made = load_table(info, 0)
    (path,) = home().glob("tables/own-set-*/table.npz")
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"x" + whole[1:]):
        path.write_bytes(content)
        with pytest.raises(NotPreparedError, match=r"own:set.*python -m bench prepare --tasks own:set"):
            load_table(info, 0)
        prepare_table(info, mirror=str(tmp_path), download=False)
        assert same(load_table(info, 0), made)
    meta = path.with_name("meta.json")
    content = json.loads(meta.read_text())
    moved = content | {"sizes": content["sizes"] | {"train": 17, "val": 1}}
    for wrong, said in ((content | {"checksum": "0"}, "checksum"), (moved, "checksum"), ({"sizes": 3}, "no table")):
        meta.write_text(json.dumps(wrong))
        with pytest.raises(NotPreparedError, match=said):
            load_table(info, 0)
    meta.unlink()
    with pytest.raises(NotPreparedError, match="python -m bench prepare --tasks own:set"):
        describe_table(info, 0)


@pytest.mark.parametrize(
    ("arguments", "changes", "error", "message"),
    [
        (
            (TRAIN,),
            {"rows_each": {"train": 400}},
            NotPreparedError,
            r"own/train.gz: expected 400 rows with text, got 18; get the",
        ),
        ((TRAIN,), {"rows_each": {"train": 17}}, NotPreparedError, r"own/train.gz: expected 17 rows with text, got 18"),
        (
            (TRAIN, "sentence\tlabel\na\tmaybe\n"),
            {},
            RequestError,
            "own/test.gz, row 1: label 'maybe' is none of the tra",
        ),
        (
            (TRAIN,),
            {"classes": ("no", "yes", "other")},
            RequestError,
            "labels of the training rows, got 'other' of none",
        ),
        (("sentence\tlabel\na\tno\nb\tyes\n",), {}, RequestError, "at least 5 rows with text in train, got 2"),
        (
            (TRAIN, TEST, "sentence\tlabel\n \tno\n"),
            {},
            NotPreparedError,
            "own/val.gz: expected 1 rows with text, got 0",
        ),
    ],
)
def test_what_is_wrong_is_named_and_leaves_no_table(
    tmp_path: Path, arguments: tuple[str, ...], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        prepared(tmp_path, *arguments, **changes)
    assert str(caught.value).startswith("own:set: ")
    assert "\n" not in str(caught.value)
    assert not list(home().glob("tables/*/*"))


def test_values_that_do_not_vary_are_named(tmp_path: Path) -> None:
    values = {"kind": "regression", "metric": "pearson_spearman", "classes": ()}
    train = "sentence\tlabel\n" + "".join(f"t{row}\t{row / 2}\n" for row in range(9))
    with pytest.raises(RequestError, match=r"own:set: expected labels of test\[test\] that vary, got 1 alone"):
        prepared(tmp_path, train, "sentence\tlabel\na\t1\n", **values)
    flat = "sentence\tlabel\n" + "".join(f"t{row}\t2.5\n" for row in range(9))
    with pytest.raises(RequestError, match=r"own:set: expected labels of train that vary, got 2.5 alone"):
        prepared(tmp_path, flat, train, **values)


def test_a_mended_file_is_read_anew(tmp_path: Path) -> None:
    for broken, error in (("a\tmaybe\n", RequestError), ("a\n", NotPreparedError)):
        with pytest.raises(error):
            prepared(tmp_path, TRAIN + broken)
    info = prepared(tmp_path, TRAIN + "a\tyes\n")
    assert load_table(info, 0).first[18] == "a"


def test_a_missing_file_is_named_with_what_gets_it(tmp_path: Path) -> None:
    info = task(tmp_path)
    (tmp_path / "own" / "test.gz").unlink()
    with pytest.raises(NotPreparedError, match=r"own:set: own/test.gz: not found; .*python -m bench prepare"):
        prepare_table(info, mirror=str(tmp_path), download=False)
    assert not list(home().glob("tables/*/*"))


def test_text_of_the_domain_is_fetched_with_the_table(tmp_path: Path) -> None:
    info = task(tmp_path, domain={"file": "own/none.gz", "sha256": "0" * 64, "rows": 2})
    with pytest.raises(NotPreparedError, match=r"own:set: own/none.gz: not found"):
        prepare_table(info, mirror=str(tmp_path), download=False)


def test_text_of_the_domain_is_known_by_its_content(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"text.domain: expected sha256"):
        task(tmp_path, domain={"file": "own/none.gz", "rows": 2})


def test_the_demo_is_computed() -> None:
    info = catalogue.get("demo:mood")
    prepare_table(info, mirror=None, download=False)
    table = load_table(info, 5)
    assert (len(table.train), len(table.val), len(table.test)) == (256, 32, 32)
    assert table.counts["kept"] == info.rows
    assert table.counts["test_texts_in_train"] == table.counts["val_texts_in_train"] == 0


def test_metadata_needs_no_heavy_library(tmp_path: Path) -> None:
    prepare_table(catalogue.get("demo:mood"), mirror=None, download=False)
    code = (
        "import sys; from tasks import catalogue; from tasks.text.table import describe_table;"
        "describe_table(catalogue.get('demo:mood'), 0); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "pandas", "sklearn", "scipy"} & set(loaded)


def test_a_missing_file_points_to_the_part_that_may_be_had() -> None:
    with pytest.raises(NotPreparedError, match=r"may be had as glue-subset:qqp$"):
        prepare_table(catalogue.get("glue:qqp"), mirror=None, download=False)
    with pytest.raises(NotPreparedError) as caught:
        prepare_table(catalogue.get("tartan:scierc"), mirror=None, download=False)
    assert "subset" not in str(caught.value)
