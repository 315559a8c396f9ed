"""``report`` and ``compare`` on the command line: what they print, write and refuse, and how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from scipy import stats

from tests.bench.commandline import bench, refused, tree
from tests.leaderboard.fabricate import grid, plan, record, save

TASK = "moleculenet:bace"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three methods and a control x four seeds on one task."""
    out = tmp_path / "run"
    cells = grid(4, [TASK])
    save(out, cells)
    plan(out, cells, ["finetune", "cp", "tapweight", "tapweight-null"], [TASK])
    return out


def file(folder: Path, method: str = "cp", seed: int = 0) -> Path:
    (path,) = folder.glob(f"records/{method}/*/seed-{seed}-*.json")
    return path


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_report_is_printed_and_its_files_are_named(folder: Path) -> None:
    result = bench("report", "--out", folder)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith((folder / "leaderboard.md").read_text())
    written = [line.removeprefix("wrote ") for line in result.out.splitlines() if line.startswith("wrote ")]
    assert written[:2] == [str(folder / "report.json"), str(folder / "leaderboard.md")]
    assert f" tables as CSV, HTML, JSON and LaTeX in {folder / 'tables'}" in result.out
    assert f" pictures as PNG and SVG in {folder}" in result.out
    pictures = json.loads((folder / "report.json").read_text())["boards"][0]["pictures"]
    assert pictures
    assert all((folder / f"{one['file']}.{ending}").stat().st_size for one in pictures for ending in ("png", "svg"))


def test_several_folders_need_to_and_leave_the_folders_alone(folder: Path, tmp_path: Path) -> None:
    other, to = tmp_path / "other", tmp_path / "new" / "merged"
    save(other, [record("dapt", TASK, seed, 0.8 + seed / 100) for seed in range(4)])
    before = tree(tmp_path)
    refused(bench("report", "--out", folder, "--out", other), 2, "--to: expected the folder to write", "2 folders")
    assert tree(tmp_path) == before
    result = bench("report", "--out", folder, "--out", other, "--to", to, "--html")
    assert result.code == 0, result.err
    assert {path: time for path, time in tree(tmp_path).items() if to not in path.parents} == before
    content = json.loads((to / "report.json").read_text())
    assert content["folders"] == [str(folder), str(other)]
    runs = {entry["row"]: entry["runs"] for entry in content["boards"][0]["tasks"][0]["entries"]}
    assert {run["folder"] for run in runs["dapt"]} == {1}
    assert all((Path(content["folders"][run["folder"]]) / run["file"]).is_file() for run in runs["cp"])
    assert (to / "page" / "index.html").is_file()
    assert f"wrote {to / 'page' / 'index.html'}" in result.out


def test_a_folder_that_is_none_of_a_run_is_left_alone(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.md").write_text("mine")
    for words in (["--out", other], ["--out", folder, "--out", other, "--to", tmp_path / "to"]):
        refused(bench("report", *words), 2, f"--out: expected the folder of a run, got {other}, which holds no plan")
    assert [path.name for path in other.iterdir()] == ["notes.md"]
    assert not (tmp_path / "to").exists()


def test_to_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = bench("report", "--out", folder, "--to", tmp_path / "file")
    refused(result, 2, "--to: expected a folder that can be written, got", str(tmp_path / "file"))


def test_check_that_finds_nothing(folder: Path) -> None:
    before = tree(folder)
    assert bench("report", "--out", folder, "--check") == (0, "16 records, no problem found\n", "")
    file(folder).unlink()
    result = bench("report", "--out", folder, "--check")
    assert (result.code, result.out.splitlines()[-1]) == (0, "15 records, no problem found")
    assert result.out.startswith("note, seeds: moleculenet:bace (small): of 4 seeds cp lacks 0")
    assert len(tree(folder)) == len(before) - 1


def test_check_names_every_fault(folder: Path) -> None:
    split, damaged, twice = file(folder, "cp", 0), file(folder, "cp", 1), file(folder, "finetune", 2)
    change(split, split_checksum="other")
    damaged.write_bytes(damaged.read_bytes()[:100])
    copy = twice.with_name("copy.json")
    shutil.copy(twice, copy)
    change(copy, scores={"best-val": {"test": {"roc_auc": 0.1}}})
    result = bench("report", "--out", folder, "--check")
    assert (result.code, result.err) == (1, "")
    *lines, last = [line for line in result.out.splitlines() if not line.startswith("note, ")]
    assert last == "16 records, 4 problems found"
    found = {line.partition(":")[0]: line for line in lines}
    assert found.keys() == {"split", "damaged", "identity", "place"}
    assert str(split) in found["split"]
    assert found["damaged"] == f"damaged: {damaged}: no JSON"
    assert found["identity"].startswith(f"identity: {copy}, {twice}: different records carry ")
    assert found["identity"].endswith("they differ in scores")


def test_check_of_nothing_and_with_options_of_a_report(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(bench("report", "--out", tmp_path / "empty", "--check"), 2, "--out: ", "without a record")
    refused(bench("report", "--out", tmp_path / "absent", "--check"), 2, "--out: ", "does not exist")
    words = ["report", "--out", folder, "--check", "--html", "--to", tmp_path / "x"]
    refused(bench(*words), 2, "--check: expected no --to or --html beside it")


def test_baseline_says_what_changed(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    assert bench("report", "--out", folder, "--to", old).code == 0
    result = bench("report", "--out", folder, "--baseline", old / "report.json")
    assert "Nothing changed." in result.out
    change(file(folder, "cp", 0), scores={"best-val": {"val": {"roc_auc": 0.5}, "test": {"roc_auc": 0.25}}})
    file(folder, "finetune", 3).unlink()
    result = bench("report", "--out", folder, "--baseline", old)
    assert result.code == 0, result.err
    leaderboard, changed = (folder / "leaderboard.md").read_text(), (folder / "changes.md").read_text()
    assert result.out.startswith(f"{leaderboard}\n{changed}\nwrote ")
    assert f"record {file(folder, 'cp', 0).stem.split('-')[2]} scored 0.8" in changed
    assert ", now 0.25" in changed
    assert "- finetune: gone seeds 3 on moleculenet:bace" in changed
    assert "- cells missing: 0, now 1" in changed
    assert f"wrote {folder / 'changes.md'}" in result.out


def test_the_report_itself_can_be_its_baseline(folder: Path) -> None:
    assert bench("report", "--out", folder).code == 0
    file(folder, "cp", 3).unlink()
    assert "- cp: gone seeds 3" in bench("report", "--out", folder, "--baseline", folder).out


def test_wrong_baselines(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text('{"boards": [')
    before = tree(folder)
    refused(bench("report", "--out", folder, "--baseline", tmp_path), 2, "--baseline: expected an older report.json")
    half = bench("report", "--out", folder, "--baseline", tmp_path / "half.json")
    refused(half, 2, "--baseline: expected a whole report, got", "(no JSON)")
    assert tree(folder) == before


def test_compare_prints_one_comparison_in_full(folder: Path) -> None:
    result = bench("compare", "tapweight", "cp", "--out", folder, "--task", "bace")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "tapweight against cp, protocol small; gains are positive where tapweight is better"
    assert lines[2].startswith("moleculenet:bace: ROC-AUC, larger is better; split ")
    scores: list[list[float]] = []
    for seed in range(4):
        a, b = (json.loads(file(folder, method, seed).read_text()) for method in ("tapweight", "cp"))
        scores.append([one["scores"]["best-val"]["test"]["roc_auc"] for one in (a, b)])
        words = [str(seed), *(f"{score:.4f}" for score in scores[-1]), f"{scores[-1][0] - scores[-1][1]:+.4f}"]
        assert [*words, a["identity"], b["identity"]] in [line.split() for line in lines]
    both = list(zip(*scores, strict=True))
    wins = sum(one > other for one in both[0] for other in both[1]) / 16
    test = stats.permutation_test(both, lambda a, b: sum(a) - sum(b), vectorized=False, n_resamples=1000)
    for part in (
        "95 % ", "pooled sd", "of fine-tuning's error", f"P(tapweight better than cp): {wins:.2f}",
        "unpaired permutation of the difference of means, exact over 70 splits",
        f"p: {test.pvalue:.2g} two-sided, {test.pvalue / 2:.2g} one-sided (tapweight better)",
        "seeds needed: ", "seed correlation: ",
    ):  # fmt: skip
        assert part in result.out
    assert "over " not in result.out.partition("exact over")[0]  # one task alone


def test_compare_over_tasks_and_without_significance(tmp_path: Path) -> None:
    save(tmp_path, [*grid(3), *grid(3, protocol="smoke", marks=False)])
    result = bench("compare", "tapweight", "cp", "--out", tmp_path)
    small, smoke = result.out.split("protocol smoke")
    assert "over 2 tasks (moleculenet): mean gain +" in small
    assert "cannot be significant: 3 seeds allow p >= 0.10" in small
    assert "cannot be significant: 2 tasks allow p >= 0.50" in small
    assert "on exactly these tasks: p " in small
    assert smoke.count("p: none: this protocol supports no significance at any number of seeds") == 3
    assert "two-sided" not in smoke


def test_compare_prints_no_control_characters(tmp_path: Path) -> None:
    name = "red\x1b[31m\nx"
    save(tmp_path, [record(one, TASK, seed, 0.8 + seed / 100) for one in (name, "cp") for seed in range(4)])
    result = bench("compare", name, "cp", "--out", tmp_path)
    assert result.code == 0
    assert "\x1b" not in result.out
    assert result.out.startswith("red")


def test_compare_refuses_wrong_names(folder: Path) -> None:
    refused(bench("compare", "tapwight", "cp", "--out", folder), 2, "A: 'tapwight'", "did you mean tapweight")
    refused(bench("compare", "cp", "cp", "--out", folder), 2, "A and B: expected two methods")
    refused(bench("compare", "cp", "tapweight", "--out", folder, "--task", "bacee"), 2, "--task: ", "did you mean bace")
    refused(bench("compare", "cp", "--out", folder), 2, "B", "python -m bench compare --help")
    refused(bench("compare", "cp", "tapweight", "--out", folder / "absent"), 2, "--out: ", "does not exist")


def test_help_names_the_options() -> None:
    shown = bench("report", "--help").out
    for option in ("--out", "--focus", "--to", "--html", "--baseline", "--check"):
        assert option in shown
    assert "--task" in bench("compare", "--help").out
