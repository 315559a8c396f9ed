"""Asking Slurm: what its programs say, and what they say when something is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import RequestError
from slurm import site
from slurm.site import QueuedTask
from tests.slurm.fake import FakeSlurm


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def test_the_array_limit(fake: FakeSlurm) -> None:
    site.require()
    assert site.array_limit() == 1001
    fake.write("config", "MaxArraySize = 50\nMaxArraySizeOther = 9\n")
    assert site.array_limit() == 50


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="found no sbatch, srun, squeue, scontrol; start it on a login node"):
        site.require()
    with pytest.raises(RequestError, match="found no scontrol"):
        site.array_limit()
    assert site.queue(["a"]) is None


def test_a_slurm_that_does_not_answer(fake: FakeSlurm) -> None:
    (fake.folder / "config").unlink()
    (fake.folder / "queue").unlink()
    with pytest.raises(RequestError, match="expected a Slurm that answers, but scontrol says: Unable to contact"):
        site.require()
    assert site.queue(["a"]) is None
    assert site.queue([]) == []


def test_a_slurm_that_hangs(fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake.folder / "bin" / "scontrol").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(site, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(RequestError, match="scontrol did not answer"):
        site.require()


def test_the_queue(fake: FakeSlurm) -> None:
    fake.write(
        "queue",
        "12|3|RUNNING|cell.ID|None\n12|4|PENDING|cell.ID|JobArrayTaskLimit\n15|N/A|PENDING|start.ID|Dependency\n",
    )
    assert site.queue(["cell.ID", "start.ID"]) == [
        QueuedTask("12", "3", "cell.ID", "RUNNING", "None"),
        QueuedTask("12", "4", "cell.ID", "PENDING", "JobArrayTaskLimit"),
        QueuedTask("15", "", "start.ID", "PENDING", "Dependency"),
    ]
    assert "--name=cell.ID,start.ID" in fake.read("asked")


def test_many_names_are_asked_for_in_parts(fake: FakeSlurm) -> None:
    fake.write("queue", "12|3|RUNNING|x|None\n")
    found = site.queue([f"name-{number}" for number in range(2 * site.MANY + 1)])
    assert len(fake.read("asked").splitlines()) == 3
    assert found is not None
    assert len(found) == 3


def test_a_refused_script(fake: FakeSlurm) -> None:
    site.check("#!/bin/sh\n")
    fake.write("refused", "sbatch: error: invalid partition specified: gpus\nallocation failure: Invalid partition\n")
    with pytest.raises(RequestError, match="invalid partition specified: gpus; allocation failure: Invalid partition"):
        site.check("#!/bin/sh\n")
    assert fake.scripts == {}


def test_cancel(fake: FakeSlurm) -> None:
    site.cancel(["12", "15"])
    site.cancel([])
    assert fake.read("cancelled") == "12 15\n"


def test_nothing_of_the_job_around_is_handed_on(fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "7", "SBATCH_PARTITION": "x", "SRUN_CPUS_PER_TASK": "7",
             "SUBMITIT_EXECUTOR": "slurm", "CUDA_VISIBLE_DEVICES": "3", "OMP_NUM_THREADS": "7"}  # fmt: skip
    kept = {"SLURM_CONF": "/etc/slurm/slurm.conf", "HOME": "/home/me", "PYTHONPATH": "/code"}
    for name, value in (outer | kept).items():
        monkeypatch.setenv(name, value)
    site.check("#!/bin/sh\n")
    seen = dict(line.split("=", 1) for line in fake.read("environment").splitlines() if "=" in line)
    assert not outer.keys() & seen.keys()
    assert {name: seen[name] for name in kept} == kept
    assert {name: os.environ[name] for name in outer} == outer  # ours is as before
