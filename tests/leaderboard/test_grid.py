"""Which records a report uses, and which folders it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import RequestError
from leaderboard.grid import read_folder, row_labels
from tests.leaderboard.fabricate import failure, plan, record, save


def test_two_identities_of_one_cell_name_both_files(tmp_path: Path) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.9, identity="other")])
    with pytest.raises(RequestError, match=r"seed-0-\w+\.json and .*seed-0-other\.json|seed-0-other\.json and "):
        read_folder(tmp_path)


def test_the_plan_chooses_between_two_identities(tmp_path: Path) -> None:
    planned, old = record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.9, identity="old")
    save(tmp_path, [planned, old])
    plan(tmp_path, [planned], ["cp"], ["demo:a"])
    found = read_folder(tmp_path)
    assert [slot.record for slot in found.slots] == [planned]
    assert found.set_aside == ["records/cp/demo-a/seed-0-old.json"]


def test_a_record_of_other_settings_does_not_fill_a_planned_cell(tmp_path: Path) -> None:
    save(
        tmp_path,
        [
            record("cp", "demo:a", 0, 0.9, identity="old"),
            failure("cp", "demo:a", 0).model_copy(update={"identity": "older"}),
        ],
    )
    plan(tmp_path, [record("cp", "demo:a", 0, 0.8)], ["cp"], ["demo:a"])
    found = read_folder(tmp_path)
    assert [(slot.record, slot.reason) for slot in found.slots] == [(None, None)]
    assert len(found.set_aside) == 2


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"split_checksum": "zzz"}, "split_checksum"), ({"metric": "mae", "higher_is_better": True}, "metric")],
)
def test_records_that_cannot_be_compared_are_refused(tmp_path: Path, changes: dict[str, object], name: str) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8), record("finetune", "demo:a", 1, 0.8, **changes)])
    with pytest.raises(RequestError, match=rf"^{name}: .*cp/demo-a/seed-0.*finetune/demo-a/seed-1"):
        read_folder(tmp_path)


def test_protocols_may_differ_in_split(tmp_path: Path) -> None:
    save(
        tmp_path,
        [record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.8, protocol="smoke", split_checksum="zzz")],
    )
    assert len(read_folder(tmp_path).slots) == 2


def test_a_score_that_is_no_number_counts_as_damage(tmp_path: Path) -> None:
    good = record("cp", "demo:a", 0, 0.8)
    save(tmp_path, [good, record("cp", "demo:a", 1, 0.8, primary="absent")])
    (path,) = tmp_path.glob("records/cp/demo-a/seed-0-*.json")
    path.write_text(path.read_text().replace('"roc_auc": 0.8', '"roc_auc": NaN'))
    found = read_folder(tmp_path)
    assert not found.slots
    assert len(found.damaged) == 2


def test_missing_only_with_a_plan_and_failures_always(tmp_path: Path) -> None:
    cells = [record("cp", "demo:a", seed, 0.8) for seed in range(4)]
    save(tmp_path, [cells[0], failure("cp", "demo:a", 1, "out of memory")])
    states = [(slot.cell.seed, slot.reason) for slot in read_folder(tmp_path).slots]
    assert states == [(0, None), (1, "out of memory")]
    plan(tmp_path, cells, ["cp"], ["demo:a"])
    slots = read_folder(tmp_path).slots
    assert [(slot.cell.seed, slot.record is not None, slot.reason) for slot in slots] == [
        (0, True, None),
        (1, False, "out of memory"),
        (2, False, None),
        (3, False, None),
    ]


def test_folder_and_plan_must_be_whole(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        read_folder(tmp_path / "absent")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(RequestError, match=r"plan\.json.*damaged"):
        read_folder(tmp_path)


def test_a_row_per_backbone_only_where_they_meet_on_a_task(tmp_path: Path) -> None:
    save(
        tmp_path,
        [
            record("cp", "demo:a", 0, 0.8, backbone="image"),
            record("cp", "demo:a", 0, 0.8, backbone="graph"),
            record("finetune", "demo:a", 0, 0.8, backbone="image"),
            record("finetune", "glue:b", 0, 0.8, backbone="text"),
        ],
    )
    assert row_labels(read_folder(tmp_path).slots) == {
        ("cp", "image"): "cp (image)",
        ("cp", "graph"): "cp (graph)",
        ("finetune", "image"): "finetune",
        ("finetune", "text"): "finetune",
    }
