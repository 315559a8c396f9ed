"""A run submitted to a real cluster: as records say, the same as one on this machine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from bench.records import Record, scan
from slurm import site
from slurm.dev_cluster import DevCluster
from slurm.submission import Submission
from tests.bench.commandline import SMALL, Result, bench, refused, run

pytestmark = pytest.mark.xdist_group("slurm")
PATIENCE_SECONDS = 240.0  # on a busy machine


def submit(out: Path, *arguments: str, methods: str = "finetune,cp", seeds: str = "0-3") -> Result:
    return bench(
        "run", "--methods", methods, "--tasks", "analytic:isotropic", "--seeds", seeds, "--protocol", "smoke", *SMALL,
        "--out", out, "--slurm", "dev", *arguments,
    )  # fmt: skip


def names(out: Path) -> list[str]:
    return [one.job_name(group) for one in Submission.all(out) for group in one.content().groups]


def wait(out: Path) -> None:
    """Until nothing of a run is in the queue."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while queue := site.queue(names(out)):
        assert time.monotonic() < deadline, queue
        time.sleep(0.5)


def scores(out: Path) -> dict[str, object]:
    def result(record: Record) -> object:
        return record.scores, record.trajectory, record.settings

    return {record.identity: result(record) for record in scan(out).records}


@pytest.mark.slow
def test_arrays_with_dependencies_end_with_the_records_of_a_local_run(cluster: DevCluster, tmp_path: Path) -> None:
    out, seed = tmp_path / "run", ["--set", "start.seed=811"]  # a shared stage that nobody has trained
    result = submit(out, *seed, "--slurm-set", "cpus=2", "--pack", "2")
    assert result.code == 0, result.err
    assert result.out.startswith("submitted: 5 shared stages and 8 cells")
    live = submit(out, *seed)  # at once: everything is on its way
    assert live.code == 0
    wait(out)
    assert scan(out).failures == []
    local = run(tmp_path / "local", "--seeds", "0-3", *seed, methods="finetune,cp", tasks="analytic:isotropic")
    assert local.code == 0
    assert scores(out) == scores(tmp_path / "local")
    assert len(scores(out)) == 8
    again = submit(out, *seed)
    assert "# Leaderboard" in again.out


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("partition=gpus", "Invalid partition name"),
        ("gpus=9", "Requested node configuration is not available"),
        ("extra.gres=gpu:h100:1", "Requested node configuration is not available"),
        ("constraint=h100", "Invalid feature specification"),
        ("extra.nonsense=3", "unrecognized option"),
    ],
)
def test_what_the_site_does_not_have(cluster: DevCluster, tmp_path: Path, change: str, part: str) -> None:
    refused(submit(tmp_path / "run", "--slurm-set", change), 2, "before anything was submitted", part)
    assert Submission.all(tmp_path / "run") == []
    assert site.queue(["cell"]) == []


def test_an_array_above_the_limit_is_refused_by_slurm_and_split_by_us(cluster: DevCluster, tmp_path: Path) -> None:
    limit = site.array_limit()
    arguments = ["--slurm-set", f"workers={limit + 99}", "--slurm-set", "extra.hold=true"]
    wrong = [*arguments, "--slurm-set", f"max_array_size={limit + 99}"]
    seeds = f"0-{limit + 39}"  # more cells than one array may have
    refused(submit(tmp_path / "run", *wrong, methods="finetune", seeds=seeds), 2, "Invalid job array specification")
    assert submit(tmp_path / "run", *arguments, methods="finetune", seeds=seeds).code == 0
    (submission,) = Submission.all(tmp_path / "run")
    sizes = [array.tasks for array in submission.content().arrays if array.group == "cell"]
    assert (len(sizes), sum(sizes)) == (2, limit + 40)
    waiting = site.queue([submission.job_name("cell")])
    assert waiting is not None
    assert len(waiting) == sum(sizes)
    site.cancel([array.job_id for array in submission.content().arrays])
    wait(tmp_path / "run")


def test_a_job_from_within_a_job(cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_CPUS_PER_TASK": "7", "SBATCH_PARTITION": "gpus", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert submit(tmp_path / "run", "--slurm-set", "extra.hold=true").code == 0
    (submission,) = Submission.all(tmp_path / "run")
    job = submission.content().arrays[-1].job_id
    shown = subprocess.run(["scontrol", "show", "job", job], capture_output=True, text=True, check=True).stdout
    assert "Partition=main" in shown
    assert "CPUs/Task=1" in shown
    site.cancel([array.job_id for array in submission.content().arrays])
