"""Which records a report uses, and which folders it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import RequestError
from leaderboard.grid import distinct, read_folders, row_labels
from leaderboard.report import build
from tests.leaderboard.fabricate import failure, plan, record, save


def test_two_identities_of_one_cell_name_both_files(tmp_path: Path) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.9, identity="other")])
    with pytest.raises(RequestError, match=r"seed-0-\w+\.json and .*seed-0-other\.json|seed-0-other\.json and "):
        read_folders([tmp_path])


def test_the_plan_chooses_between_two_identities(tmp_path: Path) -> None:
    planned, old = record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.9, identity="old")
    save(tmp_path, [planned, old])
    plan(tmp_path, [planned], ["cp"], ["demo:a"])
    found = read_folders([tmp_path])
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
    found = read_folders([tmp_path])
    assert [(slot.record, slot.reason) for slot in found.slots] == [(None, None)]
    assert len(found.set_aside) == 2


OMEGA = {"primary": "omega", "scores": {"omega": {"test": {"roc_auc": 0.8}}}}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"split_checksum": "zzz"}, "split_checksum"),
        ({"metric": "mae", "higher_is_better": True}, "metric"),
        (OMEGA, "primary"),
    ],
)
def test_records_that_cannot_be_compared_are_refused(tmp_path: Path, changes: dict[str, object], name: str) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8), record("finetune", "demo:a", 1, 0.8, **changes)])
    with pytest.raises(RequestError, match=rf"^{name}: .*cp/demo-a/seed-0.*finetune/demo-a/seed-1"):
        read_folders([tmp_path])


def test_protocols_may_differ_in_split(tmp_path: Path) -> None:
    save(
        tmp_path,
        [record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.8, protocol="smoke", split_checksum="zzz")],
    )
    assert len(read_folders([tmp_path]).slots) == 2


def test_a_score_that_is_no_number_counts_as_damage(tmp_path: Path) -> None:
    good = record("cp", "demo:a", 0, 0.8)
    save(tmp_path, [good, record("cp", "demo:a", 1, 0.8)])
    for seed, before, after in (
        (0, '"roc_auc": 0.8', '"roc_auc": NaN'),
        (1, '"primary": "best-val"', '"primary": "absent"'),
    ):
        (path,) = tmp_path.glob(f"records/cp/demo-a/seed-{seed}-*.json")
        path.write_text(path.read_text().replace(before, after))
    found = read_folders([tmp_path])
    assert not found.slots
    assert len(found.damaged) == 2


def test_missing_only_with_a_plan_and_failures_always(tmp_path: Path) -> None:
    cells = [record("cp", "demo:a", seed, 0.8) for seed in range(4)]
    save(tmp_path, [cells[0], failure("cp", "demo:a", 1, "out of memory")])
    states = [(slot.cell.seed, slot.reason) for slot in read_folders([tmp_path]).slots]
    assert states == [(0, None), (1, "out of memory")]
    plan(tmp_path, cells, ["cp"], ["demo:a"])
    slots = read_folders([tmp_path]).slots
    assert [(slot.cell.seed, slot.record is not None, slot.reason) for slot in slots] == [
        (0, True, None),
        (1, False, "out of memory"),
        (2, False, None),
        (3, False, None),
    ]


def test_folder_and_plan_must_be_whole(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        read_folders([tmp_path / "absent"])
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(RequestError, match=r"plan\.json.*damaged"):
        read_folders([tmp_path])


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
    assert row_labels(read_folders([tmp_path]).slots) == {
        ("cp", "image"): "cp (image)",
        ("cp", "graph"): "cp (graph)",
        ("finetune", "image"): "finetune",
        ("finetune", "text"): "finetune",
    }


def test_folders_merge_as_if_they_were_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    cells = [record("cp", "demo:a", seed, 0.8) for seed in range(4)]
    save(first, [cells[0], cells[1], failure("cp", "demo:a", 2)])
    save(second, [cells[1], cells[2]])
    plan(first, cells[:3], ["cp"], ["demo:a"], seeds=[0, 1, 2])
    plan(second, cells[1:], ["cp", "dapt"], ["demo:b", "demo:a"], seeds=[3, 1])
    found = read_folders([first, second])
    assert [(slot.cell.seed, slot.record is not None, slot.folder) for slot in found.slots] == [
        (0, True, 0),
        (1, True, 0),  # the same record twice counts once
        (2, True, 1),  # and the failure that the first folder has of it no more
        (3, False, 0),
    ]
    assert [slot.file for slot in found.slots][2:] == [cells[2].path(Path()).as_posix(), ""]
    assert (found.plan.methods, found.plan.tasks) == (["cp", "dapt"], ["demo:a", "demo:b"])
    assert (found.plan.seeds, len(found.plan.cells)) == ([0, 1, 2, 3], 4)
    assert (found.damaged, found.set_aside) == ([], [])


def test_a_folder_given_twice_counts_once(tmp_path: Path) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8)])
    (tmp_path / "link").symlink_to(tmp_path)
    assert distinct([tmp_path, tmp_path / ".", tmp_path / "link"]) == [tmp_path]
    assert len(read_folders([tmp_path, tmp_path / "link"]).slots) == 1


def test_two_records_of_one_identity_in_two_folders(tmp_path: Path) -> None:
    one = record("cp", "demo:a", 0, 0.8)
    save(tmp_path / "first", [one])
    save(tmp_path / "second", [one.model_copy(update={"chosen_step": 9})])
    with pytest.raises(
        RequestError, match=r"first/records/\S+ and \S+second/records/\S+ differ but carry one identity"
    ):
        read_folders([tmp_path / "first", tmp_path / "second"])


def test_two_records_of_one_cell_in_two_folders(tmp_path: Path) -> None:
    one, other = record("cp", "demo:a", 0, 0.8), record("cp", "demo:a", 0, 0.9, identity="other")
    folders = [tmp_path / "first", tmp_path / "second"]
    save(folders[0], [one])
    save(folders[1], [other])
    with pytest.raises(RequestError, match=r"first/records/\S+ and \S+second/records/\S+ are of one cell"):
        read_folders(folders)
    plan(folders[1], [other], ["cp"], ["demo:a"])
    found = read_folders(folders)
    assert [slot.record for slot in found.slots] == [other]
    assert found.set_aside == [str(one.path(folders[0]))]
    plan(folders[0], [one], ["cp"], ["demo:a"])  # both are asked for: nobody chooses
    with pytest.raises(RequestError, match="are of one cell"):
        read_folders(folders)


def test_a_pair_that_one_folder_could_run_is_not_skipped(tmp_path: Path) -> None:
    cell = record("pcgrad", "demo:a", 0, 0.8)
    skipped = [{"method": "pcgrad", "task": "demo:a", "reason": "not installed"},
               {"method": "mlm", "task": "demo:a", "reason": "no tokens"}]  # fmt: skip
    plan(tmp_path / "first", [], ["pcgrad"], ["demo:a"], skipped=skipped)
    plan(tmp_path / "second", [cell], ["pcgrad"], ["demo:a"], skipped=skipped[1:])
    found = read_folders([tmp_path / "first", tmp_path / "second"])
    assert [pair.method for pair in found.plan.skipped] == ["mlm"]


def test_of_two_failures_of_one_cell_the_newest_counts(tmp_path: Path) -> None:
    lost = failure("cp", "demo:a", 0, "later").model_copy(update={"finished": "2026-02-01T00:00:00Z"})
    save(tmp_path / "first", [lost])
    save(tmp_path / "second", [failure("cp", "demo:a", 0, "earlier")])
    (slot,) = read_folders([tmp_path / "first", tmp_path / "second"]).slots
    assert (slot.reason, slot.folder, slot.file) == ("later", 0, lost.path(Path(), "failures").as_posix())


def test_paired_scores_share_a_split_by_seed(tmp_path: Path) -> None:
    cells = [
        record(method, "glue:a", seed, 0.8, paired=True, split_checksum=f"split {seed}")
        for method in ("cp", "finetune")
        for seed in range(2)
    ]
    save(tmp_path, cells)
    assert len(read_folders([tmp_path]).slots) == 4
    save(tmp_path, [record("dapt", "glue:a", 1, 0.8, paired=True, split_checksum="split 0")])
    with pytest.raises(RequestError, match=r"^split_checksum: .*cp/glue-a/seed-1.*dapt/glue-a/seed-1"):
        read_folders([tmp_path])
    other = tmp_path / "other"
    save(other, [cells[0], record("dapt", "glue:a", 1, 0.8, paired=False)])
    with pytest.raises(RequestError, match=r"^paired: "):
        read_folders([other])


def test_a_control_without_a_record_is_known_from_the_plan(tmp_path: Path) -> None:
    cells = [record("tapweight", "demo:a", 0, 0.8), record("tapweight-null", "demo:a", 0, 0.8)]
    save(tmp_path, cells[:1])
    plan(tmp_path, cells, ["tapweight", "tapweight-null"], ["demo:a"])
    content = json.loads((tmp_path / "plan.json").read_text())
    content["cells"][1]["control_of"] = "tapweight"
    (tmp_path / "plan.json").write_text(json.dumps(content))
    (board,) = build([tmp_path]).boards
    assert [(row.label, row.control_of) for row in board.rows] == [("tapweight", None), ("tapweight-null", "tapweight")]
