"""Cancel: what this folder's submissions have in the queue, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.commands import cancel as command
from slurm.submission import launching
from tests.bench.commandline import bench, refused
from tests.bench.fabricated import cell, jobs, plan, progress, queued, submit
from tests.slurm.fake import FakeSlurm

CELLS = [cell("cp", seed) for seed in range(4)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Its scancel empties the queue."""
    slurm = FakeSlurm(tmp_path, monkeypatch)
    path = slurm.folder / "bin" / "scancel"
    path.write_text(path.read_text() + 'echo -n "" > "$D/queue"\n')
    return slurm


@pytest.fixture
def out(tmp_path: Path, fake: FakeSlurm) -> Path:
    """Two submissions, the first with two arrays of which one is not noted, the second with one."""
    folder = tmp_path / "run"
    folder.mkdir()
    plan(folder, CELLS)
    first = submit(folder, {"a": jobs(CELLS[:1]), "b": jobs(CELLS[1:2])}, name="s1")
    first.save(first.content().model_copy(update={"arrays": first.content().arrays[:1]}))
    second = submit(folder, {"a": jobs(CELLS[2:])}, first=20, name="s2")
    tasks = (("10_0", "a", "RUNNING"), ("10_1", "a", "PENDING Resources"), ("11", "b", "PENDING Dependency"))
    fake.write("queue", queued(first, *tasks) + queued(second, ("20_0", "a", "RUNNING")))
    return folder


def test_all_that_is_in_the_queue(out: Path, fake: FakeSlurm) -> None:
    result = bench("cancel", "--out", out)
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "cancelled: s1 (1 array tasks running, 2 waiting)",
        "cancelled: s2 (1 array tasks running, 0 waiting)",
        "cells that ran keep their last checkpoint; the same `run` submits them again and goes on there",
    ]
    assert fake.read("cancelled").split() == ["10", "11", "20"]
    again = bench("cancel", "--out", out)
    assert again.out == "cancelled: nothing, no submission of this folder has anything in the queue\n"
    assert fake.read("cancelled").split() == ["10", "11", "20"]


def test_one_submission(out: Path, fake: FakeSlurm) -> None:
    assert bench("cancel", "--out", out, "--submission", "s2").code == 0
    assert fake.read("cancelled").split() == ["20"]
    refused(bench("cancel", "--out", out, "--submission", "s3"), 2, "--submission: 's3'", "did you mean s")


def test_a_number_that_is_somebody_elses_by_now_is_left_alone(out: Path, fake: FakeSlurm) -> None:
    fake.write("queue", "10||RUNNING|my-other-job|None\n")
    assert bench("cancel", "--out", out).out.startswith("cancelled: nothing")
    assert fake.read("cancelled") == ""


def test_what_takes_long_to_end(out: Path, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.05)
    (fake.folder / "bin" / "scancel").write_text("#!/bin/sh\nexit 0\n")
    assert bench("cancel", "--out", out).out.splitlines()[-1].startswith("4 array tasks are still ending")


def test_a_run_without_slurm_is_left_alone(tmp_path: Path, fake: FakeSlurm) -> None:
    plan(tmp_path, CELLS)
    progress(tmp_path, "cp-0")
    before = sorted(tmp_path.rglob("*"))
    result = bench("cancel", "--out", tmp_path)
    assert result.code == 0
    nothing, left = result.out.splitlines()
    assert nothing.startswith("cancelled: nothing")
    assert left.startswith(f"left alone: a run without Slurm is alive in {tmp_path} (cp-0, finetune); end it with Ctrl")
    assert sorted(tmp_path.rglob("*")) == before


def test_slurm_does_not_answer_or_refuses(out: Path, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake.folder / "bin" / "scancel").write_text("#!/bin/sh\necho 'scancel: error: Access denied' >&2\nexit 1\n")
    refused(bench("cancel", "--out", out), 2, "cancel: scancel failed: Access denied")
    (fake.folder / "queue").unlink()
    refused(bench("cancel", "--out", out), 2, "--out: squeue does not answer here")
    monkeypatch.setenv("PATH", "/nowhere")
    refused(bench("cancel", "--out", out), 2, "--out: squeue does not answer here", "login node")


def test_not_while_a_launcher_submits(out: Path, fake: FakeSlurm) -> None:
    with launching(out):
        refused(bench("cancel", "--out", out), 2, f"--out: another launcher is submitting from {out} now")
    assert fake.read("cancelled") == ""


def test_a_folder_that_is_none_of_a_run(tmp_path: Path) -> None:
    refused(bench("cancel", "--out", tmp_path / "none"), 2, "--out: expected the folder of a run")
