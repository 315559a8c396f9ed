"""Records: whole and of our format, or refused; never NaN; merged by copying."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bench import records
from bench.errors import RequestError
from bench.records import FORMAT, OtherFormatError, Trajectory, scan, write
from tests.leaderboard.fabricate import failure, record, trajectory


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_record_is_where_a_person_looks_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    written = record("cp", "demo:logp", 3, 0.1 + 0.2, trajectory=trajectory(0))
    path = write(tmp_path, written)
    assert path == tmp_path / f"records/cp/demo-logp/seed-3-{written.identity}.json"
    assert records.read(path) == written
    assert records.read(path).score() == 0.1 + 0.2  # not rounded
    assert scan(tmp_path).records == [written]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_never_enters_a_record(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValidationError, match=r"scores\.best-val\.test\.roc_auc"):
        record("cp", "demo:rings", 0, value)
    with pytest.raises(ValidationError, match="weights"):
        Trajectory(objectives=["jigsaw"], steps=[1], weights=[[value]], alignment=[], losses=[])
    with pytest.raises(ValueError, match="JSON"):  # in the parts that are free in form
        write(tmp_path, record("cp", "demo:rings", 0, 0.5, data={"mean": value}))
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scores": {}}, "no test roc_auc of the primary read-out 'best-val'"),
        ({"scores": {"best-val": {"test": {}}}}, "no test roc_auc"),
        ({"scores": {"best-val": {"val": {"roc_auc": 0.5}}}}, "no test roc_auc"),
        ({"primary": "nope"}, "no test roc_auc of the primary read-out 'nope'"),
        ({"metric": "rmse"}, "no test rmse"),
        ({"scores": {"best-val": {"test": {"roc_auc": -1e200}}}}, "-1e+200 is too large for a test roc_auc"),
    ],
)
def test_a_record_without_the_score_that_tables_show_is_damage(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path, record("cp", "demo:rings", 0, 0.7))
    change(path, **changes)
    assert scan(tmp_path).damaged == [path]
    with pytest.raises(records.DamagedError) as error:
        records.read(path)
    assert reason in error.value.reason


def test_nan_in_a_file_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path, record("cp", "demo:rings", 0, 0.75))
    path.write_text(path.read_text().replace("0.75", "NaN"))
    assert scan(tmp_path).damaged == [path]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_kept_and_never_trusted(tmp_path: Path, share: float) -> None:
    whole = write(tmp_path, record("cp", "demo:rings", 0, 0.7))
    cut = write(tmp_path, record("cp", "demo:rings", 1, 0.7))
    text = cut.read_text()[: int(share * cut.stat().st_size)]
    cut.write_text(text)
    found = scan(tmp_path)
    assert [each.seed for each in found.records] == [0]
    assert found.damaged == [cut]
    assert cut.read_text() == text
    assert whole.exists()
    with pytest.raises(RequestError, match="expected a whole record") as caught:
        records.read(cut)
    assert str(cut) in str(caught.value)


def test_bytes_a_list_and_a_record_without_its_format_are_damage(tmp_path: Path) -> None:
    paths = [write(tmp_path, record("cp", "demo:rings", seed, 0.7)) for seed in range(3)]
    paths[0].write_bytes(b"\xff\xfe\x00")
    paths[1].write_text("[]")
    content = json.loads(paths[2].read_text())
    del content["format"]
    paths[2].write_text(json.dumps(content))
    found = scan(tmp_path)
    assert (found.records, found.damaged) == ([], sorted(paths))


def test_another_format_is_refused_with_what_was_found_and_expected(tmp_path: Path) -> None:
    path = write(tmp_path, record("cp", "demo:rings", 0, 0.7))
    change(path, format=FORMAT + 1)
    before = path.read_bytes()
    with pytest.raises(OtherFormatError, match=f"expected record format {FORMAT}, got {FORMAT + 1}") as caught:
        scan(tmp_path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_folders_merge_by_copying(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seeds in ((first, (0, 1)), (second, (1, 2))):
        for seed in seeds:
            write(folder, record("cp", "demo:rings", seed, 0.7))
    shutil.copytree(second, first, dirs_exist_ok=True)
    assert [each.seed for each in scan(first).records] == [0, 1, 2]
    # The same record under another name counts once.
    path = write(first, record("cp", "demo:rings", 0, 0.7))
    shutil.copy(path, path.with_name("copy.json"))
    assert [each.seed for each in scan(first).records] == [0, 1, 2]


def test_two_different_records_of_one_identity_are_an_error_that_names_both(tmp_path: Path) -> None:
    path = write(tmp_path, record("cp", "demo:rings", 0, 0.7))
    other = path.with_name("other.json")
    shutil.copy(path, other)
    change(other, chosen_step=9)
    with pytest.raises(RequestError, match="one identity") as caught:
        scan(tmp_path)
    assert str(path) in str(caught.value)
    assert str(other) in str(caught.value)


def test_a_record_removes_the_failure_of_its_cell(tmp_path: Path) -> None:
    lost, kept = failure("cp", "demo:rings", 0), failure("cp", "demo:rings", 1)
    path = write(tmp_path, lost)
    write(tmp_path, kept)
    assert records.read_failure(path) == lost
    text = path.read_text()
    write(tmp_path, record("cp", "demo:rings", 0, 0.7))
    assert not path.exists()
    assert scan(tmp_path).failures == [kept]
    path.write_text(text)  # as a merge brings an old failure back: the record counts
    assert scan(tmp_path).failures == [kept]


def test_a_failure_that_goes_away_while_reading_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, failure("cp", "demo:rings", 0))
    real = Path.read_text

    def late(self: Path, *arguments: Any, **named: Any) -> str:
        if self == path:
            path.unlink()  # as when the cell succeeds now
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", late)
    found = scan(tmp_path)
    assert (found.failures, found.damaged) == ([], [])
