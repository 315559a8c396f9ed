"""Files that are made of published ones: by hand, and to the same bytes as those of the mirror."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench.errors import NotPreparedError
from bench.files import home
from tasks import catalogue
from tasks.info import TaskInfo
from tasks.text.files import locate_file
from tasks.text.table import load_table, prepare_table
from tests.tasks.text.made import TEST, task

PAIRS = ["q\t#1 ID\t#2 ID\tone\ttwo", *(f"{row % 2}\t{row}\t{row + 1}\tfirst {row}\tsecond {row}" for row in range(9))]
REVIEWS = {"neg/10_2": "ten", "neg/9_1": " nine\x85 ", "pos/0_7": "é", "pos/3_9": "n", "neg/1_x": "", "all/1_1": "u"}


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def jsonl(*rows: tuple[str, str]) -> str:
    return "".join(json.dumps({"sentence": text, "label": label}) + "\n" for text, label in rows)


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def put(mirror: Path, file: str, content: str) -> None:
    (mirror / file).parent.mkdir(parents=True, exist_ok=True)
    (mirror / file).write_bytes(gzip.compress(content.encode()))


def pack(path: Path, files: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"released/{name}.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def entry(mirror: Path, expected: str, made: dict[str, Any], **changes: Any) -> TaskInfo:
    """A task whose training file is nowhere, but can be made."""
    info = task(mirror, **changes).model_dump()
    train = {"file": "own/made.gz", "sha256": sha256(expected), "rows": 1, "made": made}
    return TaskInfo.model_validate(info | {"text": info["text"] | {"train": train}})


def made_of(info: TaskInfo, mirror: Path) -> str:
    assert info.text
    path = locate_file(info, info.text.train, mirror=str(mirror), download=False)
    assert path == home() / "data" / "own" / "made.gz"
    return gzip.decompress(path.read_bytes()).decode()


def test_rows_whose_text_is_in_a_test_file_are_taken_out(tmp_path: Path) -> None:
    kept = [(f"text {row}", "yes" if row % 2 else "no") for row in range(8)]
    released = jsonl(("fine", "no"), *kept[:5], ("bad", "yes"), *kept[5:])
    put(tmp_path, "own/released.gz", released)
    raw = {"file": "own/released.gz", "sha256": sha256(released)}
    made = {"by": "test texts taken out", "of": [raw]}
    tested = jsonl(("fine", "yes"), ("bad", "no"))
    assert made_of(entry(tmp_path, jsonl(*kept), made, test=tested, format="jsonl"), tmp_path) == jsonl(*kept)
    unknown = {"format": "jsonl", "made": made | {"of": [{"file": "own/released.gz"}]}}
    for wrong in ({"format": "tsv"}, {"format": "jsonl", "first": ("sentence", "label")}, unknown):
        with pytest.raises(ValidationError, match=r"made.by: .* needs sha256 in of, format jsonl, one column in first"):
            entry(tmp_path, jsonl(*kept), wrong.pop("made", made), test=tested, **wrong)


@pytest.mark.parametrize("part", ["train", "dev"])
def test_pairs_are_parted_by_their_ids(tmp_path: Path, part: str) -> None:
    put(tmp_path, "own/pairs.gz", "\ufeff" + "\r\n".join(PAIRS) + "\r\n")
    # Only both ids together make a development row.
    put(tmp_path, "own/ids.gz", "3\t4\n0\t1\n5\t7\n")
    development = [PAIRS[1], PAIRS[4]]
    rows = development if part == "dev" else [row for row in PAIRS[1:] if row not in development]
    expected = "".join(f"{row}\n" for row in (PAIRS[0], *rows))
    made = {"by": "ids", "part": part, "of": [{"file": "own/pairs.gz"}, {"file": "own/ids.gz"}]}
    assert made_of(entry(tmp_path, expected, made), tmp_path) == expected


@pytest.mark.parametrize("part", ["train", "test"])
def test_reviews_are_read_from_folders_by_number(tmp_path: Path, part: str) -> None:
    other = "test" if part == "train" else "train"
    files = {f"{part}/{name}": text for name, text in REVIEWS.items()} | {f"{other}/neg/1_1": "other", "urls": "u"}
    pack(tmp_path / "own" / "released.tar.gz", files)
    rows = [("neg/9_1", 0, " nine\x85 "), ("neg/10_2", 0, "ten"), ("pos/0_7", 1, "é"), ("pos/3_9", 1, "n")]
    expected = "".join(f'{{"id": "{i}", "label": {label}, "text": "{text}"}}\n' for i, label, text in rows)
    made = {"by": "folders", "part": part, "of": [{"file": "own/released.tar.gz"}]}
    assert made_of(entry(tmp_path, expected, made), tmp_path) == expected
    assert (tmp_path / "own" / "released.tar.gz").is_file()


@pytest.mark.parametrize("damage", [b"no archive", None])
def test_a_damaged_archive_of_the_mirror_is_named_and_left(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "own" / "released.tar.gz"
    pack(path, {f"train/neg/{number}_1": str(number) * 999 for number in range(99)})
    path.write_bytes(damage or path.read_bytes()[:-200])
    made = {"by": "folders", "part": "train", "of": [{"file": "own/released.tar.gz"}]}
    with pytest.raises(NotPreparedError, match=r"published: own/released.tar.gz: .* is a damaged archive \(.*; get it"):
        made_of(entry(tmp_path, "", made), tmp_path)
    assert path.is_file()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"by": "ids", "part": "train", "of": ["a"]}, "by 'ids': expected 2 of and part train or dev, got 1 and train"),
        ({"by": "ids", "part": "test", "of": ["a", "b"]}, "by 'ids': expected 2 .* got 2 and test"),
        ({"by": "folders", "of": ["a"]}, "by 'folders': expected 1 of and part train or test, got 1 and None"),
        ({"by": "test texts taken out", "of": []}, "expected 1 of and part None, got 0 and None"),
    ],
)
def test_an_entry_that_cannot_be_made_is_refused(tmp_path: Path, made: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        entry(tmp_path, "", made | {"of": [{"file": name} for name in made["of"]]})


def test_what_is_made_must_have_its_checksum(tmp_path: Path) -> None:
    put(tmp_path, "own/pairs.gz", "\n".join(PAIRS))
    put(tmp_path, "own/ids.gz", "")
    made = {"by": "ids", "part": "train", "of": [{"file": "own/pairs.gz"}, {"file": "own/ids.gz"}]}
    expected = "".join(f"{line}\n" for line in PAIRS)
    whole = entry(tmp_path, expected, made)
    put(tmp_path, "own/pairs.gz", "\n".join(PAIRS[:-1]))
    for _ in range(2):
        with pytest.raises(
            NotPreparedError, match=r"made.gz: expected content .* from own/pairs.gz and own/ids.gz, of"
        ):
            made_of(whole, tmp_path)
    put(tmp_path, "own/pairs.gz", "\n".join(PAIRS))
    assert made_of(whole, tmp_path) == expected, "the mended file counts"
    info = task(tmp_path, TEST).model_dump()
    with pytest.raises(ValidationError, match="made: expected sha256 beside it"):
        TaskInfo.model_validate(info | {"text": info["text"] | {"train": info["text"]["train"] | {"made": made}}})


@pytest.mark.data
def test_the_clean_hyperpartisan_is_made_of_the_released_files(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = catalogue.get("tartan:hyperpartisan")
    prepare_table(info, mirror=str(mirror), download=False)
    expected = load_table(info, 0)
    for name in ("train", "dev", "test"):
        released = Path("tartan", "hyperpartisan", f"{name}.jsonl.gz")
        (tmp_path / released).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / released).write_bytes((mirror / released).read_bytes())
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "made"))
    prepare_table(info, mirror=str(tmp_path), download=False)
    assert load_table(info, 0).checksum == expected.checksum
    (leaky,) = (task.text for task in catalogue.suites()["tartan-leaky"].tasks)
    assert info.text
    assert leaky
    for file, released_file in ((info.text.train, leaky.train), (info.text.val, leaky.val)):
        assert file
        assert file.made
        assert released_file
        (raw,) = file.made.of
        assert (raw.file, raw.sha256, raw.url) == (released_file.file, released_file.sha256, released_file.url)


@pytest.mark.data
def test_mrpc_is_made_as_glue_makes_it(mirror: Path, tmp_path: Path) -> None:
    train, dev = (
        gzip.decompress((mirror / "glue" / "MRPC" / f"{name}.tsv.gz").read_bytes()).decode().split("\n")[:-1]
        for name in ("train", "dev")
    )
    mixed = [*train[:2000], *dev[1:200], *train[2000:], *dev[200:]]  # parts stay in the order of the whole
    put(tmp_path, "glue/MRPC/msr_paraphrase_train.txt.gz", "\ufeff" + "\r\n".join(mixed) + "\r\n")
    put(tmp_path, "glue/MRPC/dev_ids.tsv.gz", "\n".join("\t".join(row.split("\t")[1:3]) for row in dev[1:]))
    info = catalogue.get("glue:mrpc")
    prepare_table(info, mirror=str(tmp_path), download=False)  # its checksums are those of the mirror's files
    assert (len(load_table(info, 0).first), info.rows) == (4076, 4076)


def test_each_set_of_several_files_names_the_same_sources_in_all() -> None:
    for name in ("glue:mrpc", "text:imdb"):
        text = catalogue.get(name).text
        assert text
        (test,) = text.test.values()
        assert text.train.made
        assert test.made
        assert text.train.made.of == test.made.of
        assert text.train.made.part != test.made.part
