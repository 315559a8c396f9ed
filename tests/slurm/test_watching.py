"""Watching, cancelling and cleaning up after real array tasks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.commands.status import status_of
from bench.records import scan
from slurm import site
from slurm.dev_cluster import DevCluster
from slurm.submission import Submission
from tests.bench.commandline import SMALL, bench
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]
PATIENCE_SECONDS = 120.0  # on a busy machine
ENDLESS = ("--set", "finetune.epochs=1000000", "--set", "finetune.patience=1000000")


def command(out: Path, seed: int, *arguments: str, methods: str = "finetune", seeds: str = "0-3") -> list[str]:
    """A run of tiny cells; ``seed`` is of the shared stage, so another one for each test."""
    return [
        "run", "--methods", methods, "--tasks", "analytic:isotropic", "--seeds", seeds, "--protocol", "smoke", *SMALL,
        "--set", f"start.seed={seed}", "--out", str(out), "--slurm", "dev", *arguments,
    ]  # fmt: skip


def until(out: Path, holds: Callable[[str], bool]) -> str:
    """Ask for the status until it is as expected; return it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(text := status_of(out)):
        assert time.monotonic() < deadline, text
        time.sleep(0.5)
    return text


def test_a_sweep_is_watched_cancelled_cleaned_and_goes_on(cluster: DevCluster, tmp_path: Path) -> None:
    out = tmp_path / "run"
    endless = command(out, 901, *ENDLESS, "--slurm-set", "workers=2")
    assert bench(*endless).code == 0
    assert status_of(out).startswith("0 done, 0 failed, 4 queued, 0 missing of 4 cells")
    text = until(out, lambda text: text.count(" of 1000000, ") == 2)
    assert text.startswith("0 done, 0 failed, 2 running, 2 queued, 0 missing of 4 cells")
    assert " steps/s, since " in text or " s/step, since " in text
    with pytest.MonkeyPatch.context() as nowhere:
        nowhere.setenv("PATH", "/nowhere")
        alone = status_of(out)
    assert alone.startswith("0 done, 0 failed, 2 running, 2 missing of 4 cells")
    assert "queue could not be asked here: 2 of the missing cells may wait" in alone
    assert bench("clean", "--out", out).code == 2

    cancelled = bench("cancel", "--out", out)
    assert cancelled.out.splitlines()[1].startswith("cells that ran keep their last checkpoint"), cancelled
    text = status_of(out)
    assert text.startswith("0 done, 0 failed, 4 missing of 4 cells")
    assert "4 cells left the queue before they ended" in text
    assert "CANCELLED" in text
    assert "CANCELLED" in bench("logs", "finetune/analytic:isotropic/0", "--out", out).out
    assert len(list((out / "checkpoints").glob("*.checkpoint"))) == 2

    (submission,) = Submission.all(out)
    again = bench(*endless)
    assert again.out.startswith("submitted: 0 shared stages and 4 cells")
    assert bench("cancel", "--out", out, "--submission", submission.id).out.startswith("cancelled: nothing")
    assert bench("cancel", "--out", out).out.startswith("cancelled: 2")
    assert bench("clean", "--out", out).code == 0
    assert not submission.submitit.exists()
    assert not list((out / "checkpoints").glob("*"))
    assert status_of(out).startswith("0 done, 0 failed, 4 missing of 4 cells")


def test_a_launcher_killed_before_it_noted_what_it_submitted(cluster: DevCluster, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = """
import os, sys
from slurm.launch import Launcher
from bench.__main__ import main
submit, seen = Launcher._submit, []
def last(*arguments):
    seen.append(submit(*arguments))
    if len(seen) == 2:
        os.kill(os.getpid(), 9)
    return seen[-1]
Launcher._submit = last
main()
"""
    words = command(out, 902, "--slurm-set", "workers=2")
    assert subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, stderr=subprocess.PIPE).returncode == -9
    (submission,) = Submission.all(out)
    assert submission.content().arrays == []
    assert status_of(out).startswith("0 done, 0 failed, 4 queued, 0 missing of 4 cells")
    text = until(out, lambda text: text.startswith("4 done"))
    assert text.startswith("4 done, 0 failed, 0 missing of 4 cells")
    assert "estimated" not in text
    log = bench("logs", "start", "--out", out)
    assert log.out.startswith("start (shared, seed 902)"), log
    assert ": done\n" in log.out


def test_a_killed_launchers_arrays_can_be_cancelled(cluster: DevCluster, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert bench(*command(out, 903, "--slurm-set", "extra.hold=true")).code == 0
    (submission,) = Submission.all(out)
    submission.save(submission.content().model_copy(update={"arrays": []}))
    assert "waiting (" in status_of(out)
    assert "JobHeldUser" in status_of(out)
    assert bench("cancel", "--out", out).out.startswith(f"cancelled: {submission.id} (0 array tasks running, 5 waiting")
    assert site.queue([submission.job_name(group) for group in submission.content().groups]) == []


def test_a_shared_stage_that_fails(cluster: DevCluster, tmp_path: Path, bench_home: Path) -> None:
    out, words = tmp_path / "run", ["--slurm-set", "extra.hold=true"]
    assert bench(*command(out, 904, *words, methods="finetune,cp", seeds="0-1")).code == 0
    (submission,) = Submission.all(out)
    entries = submission.content().groups
    (start,) = (entry.jobs[0] for entry in entries.values() if entry.jobs[0].startswith("start-"))
    obstacle = bench_home / "artifacts" / start
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.write_text("")  # a file where the stage makes its folder
    subprocess.run(["scontrol", "release", *(array.job_id for array in submission.content().arrays)], check=True)
    text = until(out, lambda text: "in the queue:" not in text)
    assert text.startswith("0 done, 0 failed, 4 missing of 4 cells")
    assert text.count("in vain") == 1
    assert "shared stages: 2 lost, 1 failed" in text or "shared stages: 1 failed, 2 lost" in text
    assert "  start (shared, seed 904) failed: " in text
    assert "; 4 cells wait for it in vain, until the same `run` submits them again" in text
    assert "left the queue before they ended" not in text
    log = bench("logs", start, "--out", out)
    assert f"start (shared, seed 904) ({start}): failed" in log.out
    assert "Traceback" in log.out
    obstacle.unlink()
    assert bench(*command(out, 904, methods="finetune,cp", seeds="0-1")).out.startswith("submitted: 3 shared stages")
    text = until(out, lambda text: text.startswith("4 done"))
    assert "in vain" not in text
    assert len(scan(out).records) == 4
