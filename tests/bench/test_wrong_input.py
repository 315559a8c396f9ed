"""Every wrong request ends with one line that says what was expected, what came and what is nearest."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.commandline import bench, distribution, refused, run, tree

RINGS = ["C1CC1", "C1CCC1", "C1CCCC1", "c1ccccc1", "c1ccncc1", "c1ccoc1", "c1ccsc1", "C1CCOC1", "C1CCNC1", "C1CCSC1"]
ROWS = "smiles,active\n" + "".join(f"C{ring},1\nCC{ring},0\n" for ring in RINGS)
SUITE = """
name: tiny
title: Tiny
corpus: demo
tasks:
  good: {title: Good, kind: classification, metric: roc_auc, file: tiny/good.csv.gz, targets: [active], rows: 24}
"""


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ({"methods": "tapwieght"}, ["--methods: 'tapwieght'", "did you mean tapweight"]),
        ({"methods": " , "}, ["--methods", "at least one", "finetune"]),
        ({"tasks": "moleculenet:bacee"}, ["task: 'moleculenet:bacee'", "did you mean bace"]),
        ({"tasks": "molnet:bace"}, ["suite: 'molnet'", "moleculenet"]),
        ({"tasks": "baace"}, ["task: 'baace'", "did you mean bace"]),
        ({"tasks": ""}, ["--tasks", "known: analytic, demo, glue"]),
    ],
)
def test_unknown_names(tmp_path: Path, words: dict[str, str], parts: list[str]) -> None:
    refused(run(tmp_path, **words), 2, *parts)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--protocol", "smal"], ["protocol: 'smal'", "did you mean small"]),
        (["--protocol", "absent.yaml"], ["protocol: 'absent.yaml'", "a .yaml file that exists"]),
        (["--protocol", "../protocols/small"], ["protocol: '../protocols/small'"]),
        (["--set", "finetune.epoch=3"], ["--set: 'finetune.epoch'", "did you mean finetune.epochs"]),
        (["--set", "finetune=3"], ["--set: 'finetune'", "is not known"]),
        (["--set", "finetune.epochs"], ["--set: expected KEY=VALUE, got 'finetune.epochs'"]),
        (["--set", "finetune.epochs=0"], ["--set: finetune.epochs:", "greater than 0, got 0"]),
        (["--set", "finetune.epochs=yes"], ["--set: finetune.epochs: expected no truth value", "got True"]),
        (["--set", "finetune.epochs=ten"], ["--set: finetune.epochs:", "integer", "got 'ten'"]),
        (
            ["--set", "finetune.optimiser.name=adamax"],
            ["--set: finetune.optimiser.name:", "'sgd', 'adam' or 'adamw', got 'adamax'"],
        ),
        (["--set", "finetune.optimiser.lr=.inf"], ["--set: finetune.optimiser.lr:", "finite", "got inf"]),
        (["--set", "finetune.optimiser.lr=[1"], ["--set: expected a YAML value for finetune.optimiser.lr, got '[1'"]),
        (["--set", "finetune.optimiser.lr=inf"], ["--set: finetune.optimiser.lr:", "finite", "got 'inf'"]),
        (["--set", "finetune.optimiser.lr=1e400"], ["--set: finetune.optimiser.lr:", "finite", "got '1e400'"]),
        (["--set", "finetune.epochs=2024-13-45"], ["for finetune.epochs, got '2024-13-45': month must be in 1..12"]),
        (["--set", "finetune.epochs=0b_"], ["--set: expected a YAML value for finetune.epochs, got '0b_'"]),
        (["--set", "finetune.epochs=" + "[" * 3000], ["--set: expected a YAML value for finetune.epochs", "brackets"]),
        (["--set", "corpus.clusters=[2, 3]"], ["--set: corpus.clusters"]),
        (
            ["--set", "corpus.clusters=[2, 3, 3]"],
            ["corpus.clusters: expected three different K of 2 to 9", "got 2, 3, 3"],
        ),
        (["--set", "corpus.clusters=[20, 30, 40]"], ["corpus.clusters: expected three different K of 2 to 9"]),
        (["--set", "corpus.shares={zinc: 0.5}"], ["--set: corpus.shares: expected shares that sum to 1, got 0.5"]),
        (["--set", "corpus.shares={zinc: 2}"], ["--set: corpus.shares.zinc:", "less than or equal to 1, got 2"]),
        (["--seeds", "4-0"], ["--seeds", "got '4-0'"]),
        (["--seeds", "a"], ["--seeds", "got 'a'"]),
        (["--seeds", ""], ["--seeds", "got ''"]),
        (["--seeds", "-1"], ["--seeds", "got '-1'"]),
        (["--seeds", "1,"], ["--seeds", "got '1,'"]),
        (["--seeds", "²"], ["--seeds", "got '²'"]),
        (["--seeds", "1" * 5000], ["--seeds: expected seeds up to 4294967295, got '1111"]),
        (["--seeds", "0-9999999999"], ["--seeds: expected seeds up to 4294967295, got '0-9999999999'"]),
        (["--seeds", "0-20000000"], ["--seeds: expected at most 10000 seeds, got '0-20000000'"]),
        (["--jobs", "0"], ["--jobs: expected at least 1, got 0"]),
        (["--device", "gpu"], ["--device: 'gpu'", "known: auto, cpu, cuda"]),
        (["--retry", "all"], ["--retry: expected 'failed', got 'all'"]),
        (["--focus", "tapwieght"], ["--focus: 'tapwieght'", "known: finetune"]),
        (["--focus", "finetune (gin)"], ["--focus: 'finetune (gin)' is not a method of this run"]),
        (["--focus", "cp"], ["--focus: 'cp' is not a method of this run"]),
    ],
)
def test_wrong_values(tmp_path: Path, words: list[str], parts: list[str]) -> None:
    refused(run(tmp_path / "run", *words), 2, *parts)
    assert not (tmp_path / "run" / "records").exists()


@pytest.mark.usefixtures("_no_gpu")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    refused(run(tmp_path / "run", "--device", "cuda"), 2, "--device", "'cuda'", "use cpu")
    assert not (tmp_path / "run").exists()


def test_a_plan_names_what_no_method_reads(tmp_path: Path) -> None:
    words = ["--methods", "finetune,cp", "--tasks", "analytic:isotropic", "--protocol", "smoke", "--out", tmp_path]
    result = bench("plan", *words, "--set", "tapweight.rate=1", "--set", "cp.weights=[]")
    assert result.code == 0
    assert "--set of what none of these methods reads: tapweight.rate\n" in result.out


def test_a_null_control_cannot_be_the_focus(tmp_path: Path) -> None:
    result = run(tmp_path, "--focus", "tapweight-null", methods="tapweight,tapweight-null")
    refused(result, 2, "--focus: 'tapweight-null'", "known: tapweight")


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["list", "method"], 2, ["'method'", "did you mean methods"]),
        (["show", "tapwieght"], 2, ["'tapwieght'", "did you mean tapweight"]),
        (["show", "method", "bace"], 2, ["method: 'bace'"]),
        (["show", "suite", "molnet"], 2, ["suite: 'molnet'"]),
        (["show", "protocol", "smal"], 2, ["protocol: 'smal'", "did you mean small"]),
        (["show", "thing", "small"], 2, ["method|task|suite|protocol", "'thing small'"]),
        (["show", "small", "--method", "cp"], 2, ["both --method and --task"]),
        (["show", "small", "--backbone", "gin"], 2, ["--backbone goes with --method and --task"]),
        (
            ["slurm", "show", "a100", "--slurm-set", "partition=2024-13-45"],
            2,
            ["--slurm-set", "partition, got '2024-13"],
        ),
        (["show", "small", "--method", "cp", "--task", "bacee"], 2, ["task: 'bacee'", "did you mean bace"]),
        (["show", "cp", "--task", "bace"], 2, ["--task", "go with a protocol", "method 'cp'"]),
        (["prepare", "--tasks", "demo", "--jobs", "0"], 2, ["--jobs: expected at least 1, got 0"]),
        (["prepare", "--tasks", "demmo"], 2, ["task: 'demmo'", "did you mean demo"]),
        (["clean"], 2, ["--out FOLDER, --artifacts or both"]),
        (["clean", "--out", ""], 2, ["'--out': expected a path, got ''"]),
        (["report", "--out", ""], 2, ["'--out': expected a path, got ''"]),
        (["report", "--out", "/tmp", "--to", ""], 2, ["'--to': expected a path, got ''"]),
        (["run", "--methods", "cp", "--tasks", "demo", "--out", ""], 2, ["'--out': expected a path, got ''"]),
        (["status", "--out", "/nowhere"], 2, ["--out: expected the folder of a run, got /nowhere"]),
        (["report", "--out", "/nowhere"], 2, ["/nowhere"]),
        (["clean", "--out", "/nowhere"], 2, ["--out: expected the folder of a run, got /nowhere"]),
        (["plan", "--methods", "cp", "--tasks", "qm9"], 3, ["python -m bench prepare --tasks moleculenet"]),
    ],
)
def test_other_commands(words: list[str], code: int, parts: list[str]) -> None:
    refused(bench(*words), code, *parts)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(run(tmp_path / "file"), 2, "--out: expected a folder that can be written", str(tmp_path / "file"))
    refused(run(tmp_path / "file" / "run"), 2, "--out: expected a folder that can be written")


@pytest.mark.parametrize("text", ["abc", "", "nan", "-1"])
def test_a_wrong_interval_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", text)
    refused(run(tmp_path), 2, f"BENCH_CHECKPOINT_SECONDS: expected seconds, got '{text}'")
    assert not (tmp_path / "plan.json").exists()


def test_records_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "records" / "cp" / "demo-rings" / "seed-0-a.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"format": 99}))
    before = tree(tmp_path)
    for result in (run(tmp_path), bench("report", "--out", tmp_path), bench("status", "--out", tmp_path)):
        refused(result, 2, str(path), "expected record format 1, got 99", "use another --out")
    assert tree(tmp_path) == before


class Tiny:
    """A suite of one task in a file, and the folder of data that is its mirror."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.suite, self.mirror = folder, folder / "tiny.yaml", folder / "mirror"
        self.file = self.mirror / "tiny" / "good.csv.gz"
        self.file.parent.mkdir(parents=True)
        self.suite.write_text(SUITE)
        monkeypatch.setenv("BENCH_HOME", str(folder / "home"))

    def write(self, text: str, **entry: str) -> None:
        """Write the file; ``entry`` holds further fields of the task."""
        self.file.write_bytes(gzip.compress(text.encode()))
        more = "".join(f", {key}: '{value}'" for key, value in entry.items())
        self.suite.write_text(SUITE.replace("rows: 24", f"rows: 24{more}"))

    def refused(self, code: int, *parts: str) -> None:
        """Check that the run ends so, and without a single record."""
        out = self.folder / "run"
        refused(run(out, "--mirror", self.mirror, tasks="tiny"), code, *parts)
        assert not (out / "records").exists()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    suite = Tiny(tmp_path, monkeypatch)
    entry = "[bench.suites]\ntiny = tiny_suite:SUITE"
    with distribution(tmp_path / "site", entry, tiny_suite=f"SUITE = {str(suite.suite)!r}"):
        yield suite


def test_a_sound_file_runs(tiny: Tiny) -> None:
    tiny.write(ROWS, sha256=hashlib.sha256(ROWS.encode()).hexdigest())
    result = run(tiny.folder / "run", "--mirror", tiny.mirror, tasks="tiny")
    assert result.code == 0, result.err


def test_a_missing_file(tiny: Tiny) -> None:
    tiny.refused(3, "tiny/good.csv.gz: not found", "python -m bench prepare")


def test_a_damaged_file(tiny: Tiny) -> None:
    tiny.write(ROWS)
    tiny.file.write_bytes(tiny.file.read_bytes()[:60])
    tiny.refused(3, "tiny/good.csv.gz", "damaged gzip file", "python -m bench prepare")


def test_another_content(tiny: Tiny) -> None:
    tiny.write(ROWS, sha256="0" * 64)
    tiny.refused(3, "tiny/good.csv.gz: expected content with sha256 000000000000", "python -m bench prepare")


def test_a_file_without_its_columns(tiny: Tiny) -> None:
    tiny.write(ROWS.replace("active", "activ"))
    tiny.refused(3, "tiny:good", "no column 'active'", "the nearest are 'activ'")


def test_a_label_that_is_none(tiny: Tiny) -> None:
    tiny.write(ROWS.replace(",1", ",yes"))
    tiny.refused(2, "tiny:good", "column 'active', row 1: expected 0, 1 or blank, got 'yes'")


def test_a_split_with_an_empty_part(tiny: Tiny) -> None:
    tiny.write("smiles,active\nCCO,1\n")
    tiny.refused(2, "tiny:good: expected molecules in all parts of the scaffold split, got train")


def test_a_mirror_that_does_not_exist(tiny: Tiny) -> None:
    tiny.mirror = tiny.folder / "absent"
    tiny.refused(2, "--mirror: expected an existing folder or an http(s) address", "absent")


def test_a_cache_that_cannot_be_written(tiny: Tiny) -> None:
    tiny.write(ROWS)
    (tiny.folder / "file").write_text("")
    os.environ["BENCH_HOME"] = str(tiny.folder / "file" / "home")  # the fixture puts it back
    tiny.refused(2, "BENCH_HOME: expected a folder that can be written", "(Not a directory)", str(tiny.folder / "file"))
    os.environ["BENCH_HOME"] = str(tiny.folder / "file")
    tiny.refused(2, "BENCH_HOME: expected a folder that can be written", "(File exists)")


def test_an_invalid_suite(tiny: Tiny) -> None:
    tiny.suite.write_text(SUITE.replace("kind:", "knd:"))
    refused(bench("list", "tasks"), 2, "tiny.yaml", "'good'", "'knd' is not known; did you mean kind")
