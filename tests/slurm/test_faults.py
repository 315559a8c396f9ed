"""Faults that a cluster brings: each sweep ends with the records of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records import scan
from slurm.dev_cluster import DevCluster
from slurm.submission import Submission
from tests.slurm.undisturbed import PATIENCE_SECONDS, Sweep, command, sweeping, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


@pytest.fixture
def sweep(cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    with sweeping(tmp_path, monkeypatch) as sweep:
        yield sweep


def test_preempted_on_all_nodes_with_up_to_three_cells_in_each_task(cluster: DevCluster, sweep: Sweep) -> None:
    seeds = range(4)
    sweep.faults(hold=seeds)
    sweep.submit("0-3", "--pack", "3", cpus=4, memory_gb=4, workers=2, partition="low")
    sweep.are_held(seeds)
    assert [task.state for task in sweep.queue()] == ["RUNNING"] * 2
    until(lambda: set(cluster.nodes().values()) == {"allocated"}, "full nodes")
    assert len(sweep.parents(seeds)) == 2  # each cell has a process of its own, as its attempts tell
    important = ["--partition=main", "--nodes=2", "--ntasks-per-node=1", "--exclusive"]
    command("srun", *important, "true")
    sweep.go()
    sweep.wait()
    for seed in seeds:
        sweep.resumed(seed)
    sweep.undisturbed(4)


def test_a_time_limit_and_cells_that_fail_among_good_ones(sweep: Sweep) -> None:
    cluster = {"cpus": 2, "memory_gb": 3, "workers": 2, "signal_seconds": 10}
    sweep.faults(hold=[0], raises=[1], dies=[2], dies_once=[3])
    sweep.submit("0-4", "--pack", "2", **cluster)
    sweep.are_held([0])
    (task,) = [one.task for one in sweep.queue() if sweep.owner(0).endswith(f"_{one.task}")]
    job = f"{sweep.queue()[0].array}_{task}"
    # A minute is the least. The signal may come a minute before it is due, so soon.
    command("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    until(lambda: ("PENDING", task) in {(one.state, one.task) for one in sweep.queue()}, "the signal for the limit")
    command("scontrol", "update", f"JobId={job}", "TimeLimit=20")
    sweep.go()
    sweep.wait()
    sweep.resumed(0)

    found = scan(sweep.out)
    assert sorted(record.seed for record in found.records) == [0, 3, 4]
    raised, died = sorted(found.failures, key=lambda failure: failure.seed)
    assert (raised.seed, raised.reason, raised.attempts) == (1, "ArithmeticError: seed 1 cannot be", 1)
    assert 'raise ArithmeticError(f"seed {self.seed} cannot be")' in raised.traceback
    assert (died.seed, died.attempts) == (2, 1)
    assert died.reason.startswith("died 3 times, the last time: the worker process was killed by signal SIGKILL")
    assert died.traceback.splitlines()[0] == "last words of seed 2"
    assert [len(sweep.attempts(seed)) for seed in (1, 2, 3, 4)] == [1, 3, 2, 1]

    sweep.faults()
    again = sweep.submit("0-4", "--pack", "2", **cluster)
    assert again.out.startswith("submitted: 0 shared stages and 2 cells")
    sweep.wait()
    sweep.undisturbed(5, rounded=[2, 3])


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


@pytest.fixture
def killing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An sbatch that kills who called it once it has submitted as many arrays as the file says, before it answers."""
    real, folder = shutil.which("sbatch"), tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(
        f'''#!/bin/sh
[ "$1" = --test-only ] && exec {real} "$@"
answer=$({real} "$@") || exit
left=$(($(cat "{folder}/left") - 1))
echo $left > "{folder}/left"
[ $left = 0 ] && kill -KILL $PPID
echo "$answer"
'''
    )
    (folder / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "left"


def test_launchers_that_are_killed_while_they_submit(sweep: Sweep, killing: Path) -> None:
    changes = {"workers": 4, "max_array_size": 2}  # two arrays
    sweep.faults(hold=range(4))
    for arrays in (1, 2):
        killing.write_text(f"{arrays}\n")
        launcher = sweep.launch("0-3", **changes)
        launcher.communicate(timeout=PATIENCE_SECONDS)
        assert launcher.returncode == -signal.SIGKILL
    first, second = (one.content() for one in Submission.all(sweep.out))
    assert (first.arrays, second.arrays) == ([], [])  # nobody noted them
    killing.write_text("100\n")
    for _ in "ab":
        again = sweep.submit("0-3", **changes)
        assert "submitted: nothing, everything is in the queue" in again.out
    until(lambda: len({task.array for task in sweep.queue()}) <= 1, "the end of arrays without work")
    sweep.go()
    sweep.wait()
    assert [len(sweep.attempts(seed)) for seed in range(4)] == [1] * 4
    sweep.undisturbed(4)
    assert killing.read_text() == "100\n"


def test_two_launchers_at_once(sweep: Sweep) -> None:
    launchers = [sweep.launch("0-1") for _ in "ab"]
    for launcher in launchers:
        _, err = launcher.communicate(timeout=PATIENCE_SECONDS)
        assert launcher.returncode == 0 or "another launcher is submitting from" in err
    assert 0 in [launcher.returncode for launcher in launchers]
    sweep.wait()
    (titles,) = sweep.submitted()
    assert len(titles) == 2
    assert [len(sweep.attempts(seed)) for seed in range(2)] == [1, 1]
    sweep.undisturbed(2)
