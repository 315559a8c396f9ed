"""Files of text tasks: replaced ones are noticed, wrong counts refused, missing ones explained."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from bench.errors import NotPreparedError, RequestError
from bench.files import home
from tasks import catalogue
from tasks.info import TaskInfo
from tasks.sources import checksum
from tasks.text import table as tables
from tasks.text.table import describe_table, load_table, prepare_table
from tests.tasks.text.made import TEST, TRAIN, task


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def put(mirror: Path, name: str, content: str) -> None:
    (mirror / "own" / f"{name}.gz").write_bytes(gzip.compress(content.encode()))


def prepare(info: TaskInfo, mirror: Path | None) -> None:
    prepare_table(info, mirror=str(mirror) if mirror else None, download=False)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("train", TRAIN, TRAIN.replace("text 4", "edited")), ("test", TEST, TEST.replace("fine", "edited"))],
)
def test_an_edited_file_of_unknown_content_gives_another_table(tmp_path: Path, name: str, old: str, new: str) -> None:
    info = task(tmp_path)
    prepare(info, tmp_path)
    first = describe_table(info, 0)
    put(tmp_path, name, new)
    prepare(info, None)
    assert describe_table(info, 0) == first, "no mirror, no other content"
    prepare(info, tmp_path)
    assert "edited" in load_table(info, 0).first
    assert describe_table(info, 0)["checksum"] != first["checksum"]
    put(tmp_path, name, old)
    prepare(info, tmp_path)
    assert describe_table(info, 0) == first


def test_the_same_content_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = task(tmp_path)
    prepare(info, tmp_path)
    put(tmp_path, "train", TRAIN.replace("\n", "\r\n"))
    monkeypatch.setattr(tables, "read_rows", lambda *_: pytest.fail("read again"))
    prepare(info, tmp_path)


def test_a_broken_file_in_place_of_a_good_one_leaves_no_table(tmp_path: Path) -> None:
    info = task(tmp_path)
    prepare(info, tmp_path)
    before = describe_table(info, 0)
    put(tmp_path, "train", TRAIN.replace("text 4\tno", "text 4\tmaybe"))
    with pytest.raises(RequestError, match="label 'maybe' is none of the training labels"):
        prepare(info, tmp_path)
    with pytest.raises(NotPreparedError, match="own:set: no table at"):
        describe_table(info, 0)
    put(tmp_path, "train", TRAIN)
    prepare(info, tmp_path)
    assert describe_table(info, 0) == before


def test_a_cache_of_an_earlier_version_serves_and_is_renewed(tmp_path: Path) -> None:
    info = task(tmp_path)
    earlier = tables._folder(info)
    assert earlier.name == "own-set-b318988acbe64ae2"
    prepare(info, tmp_path)
    before = describe_table(info, 0)
    # That version knew no contents, and its tables stood under the names of files without.
    tables._folder(info).rename(earlier)
    for name, content in (("train", TRAIN), ("test", TEST)):
        sidecar = home() / "data" / "own" / f"{name}.gz.verified.json"
        sidecar.write_text(sidecar.read_text().replace(hashlib.sha256(content.encode()).hexdigest(), ""))
        assert checksum(f"own/{name}.gz") == ""
    assert describe_table(info, 0) == before
    prepare(info, None)
    assert tables._folder(info) != earlier
    assert describe_table(info, 0) == before, "identities stay"
    put(tmp_path, "train", TRAIN.replace("text 4", "edited"))
    prepare(info, tmp_path)
    assert describe_table(info, 0)["checksum"] != before["checksum"]


NAMES = {
    "demo:mood": "demo-mood-0b91bd16d9df3541",
    "glue:mrpc": "glue-mrpc-b792712c72936299",
    "glue:mnli": "glue-mnli-14336d4c8acf7b6b",  # whose files are of unknown content
    "glue-subset:qqp": "glue-subset-qqp-dd9e49e830daad51",
    "tartan:acl-arc": "tartan-acl-arc-e8b9752e36e770af",
    "tartan:hyperpartisan": "tartan-hyperpartisan-64d35bb02f266f20",
    "text-subset:agnews": "text-subset-agnews-2fb0126fc473466e",
    "text:imdb": "text-imdb-f272f12093b91b19",
}


def test_tables_have_the_names_of_earlier_versions() -> None:
    assert {name: tables._folder(catalogue.get(name)).name for name in NAMES} == NAMES


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_rows_are_compared_even_where_there_is_a_table(tmp_path: Path, name: str) -> None:
    val = "sentence\tlabel\nval\tno\n"
    prepare(task(tmp_path, TRAIN, TEST, val), tmp_path)
    wrong = task(tmp_path, TRAIN, TEST, val, rows_each={name: 999})
    with pytest.raises(NotPreparedError, match=rf"own:set: own/{name}.gz: expected 999 rows with text, got \d+; get"):
        prepare(wrong, None)


def test_rows_of_the_task_are_those_of_its_files(tmp_path: Path) -> None:
    info = task(tmp_path)
    prepare(info, tmp_path)
    wrong = TaskInfo.model_validate(info.model_dump() | {"rows": 999})
    with pytest.raises(RequestError, match=r"^own:set: rows: expected 20, those of its files together, got 999$"):
        prepare(wrong, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "glue:mrpc",
            r"train.tsv.gz: not found.*; nor could it be made of what is published: .*paraphrase_train.txt.gz: not f",
        ),
        (
            "text:imdb",
            r"train.jsonl.gz: not found.*; nor could it be .*: .*aclImdb_v1.tar.gz: not found; looked at https://ai",
        ),
        (
            "glue-subset:qqp",
            r"train_subset.tsv.gz: not found.*; it has no public address: --mirror .*; all may be had as glue:qqp$",
        ),
        (
            "tartan:hyperpartisan",
            r"train_clean.jsonl.gz: not found.*; nor could it be made of .*: tartan/hyperpartisan/train.jsonl.gz: not",
        ),
    ],
)
def test_a_missing_file_says_what_to_do(name: str, said: str) -> None:
    with pytest.raises(NotPreparedError, match=said) as caught:
        prepare(catalogue.get(name), None)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
