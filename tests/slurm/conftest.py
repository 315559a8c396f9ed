"""A real Slurm cluster for the tests that ask for ``cluster``: started on first use, one for each test process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from submitit.slurm.slurm import SlurmJob

from bench.errors import RequestError
from slurm.dev_cluster import DevCluster, programs


def require_slurm(accounting: bool) -> None:
    """Skip where Slurm is not installed, or fail where it has to be."""
    try:
        programs.find(accounting)
    except RequestError as error:
        if os.environ.get("BENCH_REQUIRE_SLURM") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


def enter(cluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, and submitit in it, talk to ``cluster``."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    # submitit asks about all jobs that this process ever made, those of other clusters too.
    SlurmJob.watcher.clear()
    SlurmJob.watcher._registered.clear()
    monkeypatch.setattr(SlurmJob, "_results_timeout_s", 2)  # of waiting for the result of a job that died


@pytest.fixture(scope="session")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevCluster]:
    require_slurm(accounting=False)
    cluster = DevCluster(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(_cluster: DevCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[DevCluster]:
    """Two nodes with four CPUs and four GPUs each, and no jobs; both nodes are up again for the next test."""
    enter(_cluster, monkeypatch)
    yield _cluster
    for name in _cluster.nodes():
        _cluster.start_node(name)
    _cluster.cancel_jobs()
