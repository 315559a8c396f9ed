"""The command line itself: what it loads, where it writes, how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands import catalogue
from bench.records import Record, write
from tests.bench.commandline import bench, refused, run

HEAVY = ("torch", "scipy", "sklearn", "pandas", "rdkit", "matplotlib", "torchvision")
DRIVER = """
import json, sys
from bench.__main__ import main
codes = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["bench", *words]
    try:
        main()
    except SystemExit as ended:
        codes.append(ended.code)
print(json.dumps([codes, [name for name in {heavy} if name in sys.modules]]))
"""


def loaded(*commands: list[str]) -> str:
    """Run commands in a fresh interpreter; return their exit codes and the heavy modules that they loaded."""
    import json

    driver = DRIVER.replace("{heavy}", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", driver, json.dumps(commands)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def folder_of_a_run(out: Path) -> Path:
    for seed, method in enumerate(("finetune", "cp")):
        write(
            out,
            Record(
                identity=f"{method}{seed}", method=method, task="demo:rings", backbone="resnet18", seed=0,
                protocol="smoke", split_checksum="s", metric="roc_auc", higher_is_better=True, marks=False,
                scores={"best": {part: {"roc_auc": 0.5} for part in ("val", "test")}}, primary="best",
                chosen_step=1, seconds={"finetune": 1.0}, shared_seconds={}, peak_memory_bytes=1,
                examples_per_second=1.0, settings={}, data={}, provenance={},
            ),
        )  # fmt: skip
    return out


def test_looking_loads_nothing_heavy(tmp_path: Path) -> None:
    out = str(folder_of_a_run(tmp_path))
    commands = [
        [],
        ["--help"],
        ["run", "--help"],
        *(["list", what] for what in catalogue.KINDS),
        *(["show", name] for name in ("tapweight", "bace", "demo", "small")),
        ["show", "protocol", "small", "--method", "tapweight", "--task", "bace"],
        ["show", "nothing"],
        ["status", "--out", out],
        ["report", "--check", "--out", out],
        ["compare", "finetune", "cp", "--out", out],
    ]
    codes = [2 if words == ["show", "nothing"] else 0 for words in commands]
    assert loaded(*commands) == f"[{codes}, []]"


def test_no_command_prints_the_help() -> None:
    result = bench()
    assert result.code == 0
    for command in (
        "run",
        "plan",
        "list",
        "show",
        "prepare",
        "status",
        "report",
        "clean",
        "logs",
        "cancel",
        "compare",
        "slurm",
    ):
        assert f" {command} " in result.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["run"], ["--methods", "python -m bench run --help"]),
        (["run", "--methods"], ["--methods"]),
        (["run", "--nope"], ["--nope"]),
        (["run", "--methods", "cp", "--tasks", "demo", "--jobs", "many"], ["--jobs", "integer"]),
        (["status"], ["--out"]),
        (["show"], ["NAME"]),
        (["foo"], ["foo", "python -m bench --help"]),
    ],
)
def test_usage_errors_are_one_line(words: list[str], parts: list[str]) -> None:
    refused(bench(*words), 2, *parts)


def test_ctrl_c_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue, "listing", interrupt)
    refused(bench("list", "tasks"), 130, "interrupted", "same command")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> str:
        raise OSError(28, "No space left on device", "/cache/file")

    monkeypatch.setattr(catalogue, "listing", full)
    refused(bench("list", "tasks"), 2, "No space left on device", "/cache/file")


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: str) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(catalogue, "listing", wrong)
    with pytest.raises(ZeroDivisionError):
        bench("list", "tasks")


def test_standard_output_is_the_leaderboard_alone(tmp_path: Path) -> None:
    first = run(tmp_path / "run")
    assert first.code == 0, first.err
    assert first.out.startswith("# Leaderboard")
    text = (tmp_path / "run" / "leaderboard.md").read_text()
    assert first.out.startswith(text)
    wrote = first.out.removeprefix(text).strip().splitlines()
    assert wrote[:2] == [f"wrote {tmp_path / 'run' / name}" for name in ("report.json", "leaderboard.md")]
    assert [line.rpartition(" in ")[2] for line in wrote[2:]] == [
        str(tmp_path / "run" / name) for name in ("tables", "pictures")
    ]
    assert "1 to run" in first.err
    assert "done  finetune demo:rings seed 0" in first.err
    assert bench("report", "--out", tmp_path / "run").out == first.out
