"""Faults that a cluster brings: each sweep ends with the records of an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records import scan
from slurm.dev_cluster import DevCluster
from tests.slurm.undisturbed import Sweep, command, sweeping, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


@pytest.fixture
def sweep(cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    with sweeping(tmp_path, monkeypatch) as sweep:
        yield sweep


def test_preempted_on_all_nodes_with_three_cells_in_each_task(cluster: DevCluster, sweep: Sweep) -> None:
    seeds = range(6)
    sweep.faults(hold=seeds)
    sweep.submit("0-5", "--pack", "3", cpus=4, workers=2, partition="low")
    sweep.are_held(seeds)
    assert [task.state for task in sweep.queue()] == ["RUNNING"] * 2
    until(lambda: set(cluster.nodes().values()) == {"allocated"}, "full nodes")
    assert len(sweep.parents(seeds)) == 2
    important = ["--partition=main", "--nodes=2", "--ntasks-per-node=1", "--exclusive"]
    command("srun", *important, "true")
    sweep.go()
    sweep.wait()
    for seed in seeds:
        sweep.resumed(seed)
    sweep.undisturbed(6)


def test_a_time_limit(sweep: Sweep) -> None:
    sweep.faults(hold=[0])
    sweep.submit("0", signal_seconds=10)
    sweep.are_held([0])
    (task,) = sweep.queue()
    # A minute is the least. The signal may come a minute before it is due, so at once.
    command("scontrol", "update", f"JobId={task.array}", "TimeLimit=1")
    until(lambda: [task.state for task in sweep.queue()] == ["PENDING"], "the signal, and the end of the task")
    command("scontrol", "update", f"JobId={task.array}", "TimeLimit=20")
    sweep.go()
    sweep.wait()
    sweep.resumed(0)
    sweep.undisturbed(1)


def test_a_node_is_lost(cluster: DevCluster, sweep: Sweep) -> None:
    sweep.faults(hold=[0, 1])
    sweep.submit("0-2", cpus=4, workers=2)  # two tasks, one on each node
    sweep.are_held([0, 1])
    cluster.kill_node("n2")
    cluster.start_node("n2")
    until(lambda: len(sweep.attempts(0) + sweep.attempts(1)) == 3, "the lost cell to go on")
    sweep.go()
    sweep.wait()
    lost, other = sorted([0, 1], key=lambda seed: len(sweep.attempts(seed)), reverse=True)
    sweep.resumed(lost)
    assert len(sweep.attempts(other)) == 1
    sweep.undisturbed(3)


def test_cancelled_and_run_again(sweep: Sweep) -> None:
    sweep.faults(hold=[2, 3])
    sweep.submit("0-4", "--pack", "2", cpus=2, workers=1)
    sweep.are_held([2, 3])
    command("scancel", *{task.array for task in sweep.queue()})
    sweep.wait()
    found = scan(sweep.out)
    assert (sorted(record.seed for record in found.records), found.failures) == ([0, 1], [])
    sweep.submit("0-4", "--pack", "2", cpus=2, workers=1)
    sweep.are_held([2, 3], attempts=2)
    third = sweep.submit("0-4")
    assert "submitted: nothing, everything is in the queue" in third.out
    sweep.go()
    sweep.wait()
    first, second = sweep.submitted()
    assert (len(first), sorted(title[-1] for title in second)) == (5, ["2", "3", "4"])
    sweep.resumed(2)
    sweep.resumed(3)
    sweep.undisturbed(5)
