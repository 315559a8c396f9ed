"""The throw-away cluster: what it offers to jobs, how a node is lost, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from submitit import SlurmExecutor
from submitit.core.utils import UncompletedJobError

from bench.errors import RequestError
from slurm.dev_cluster import DevCluster, configuration, environment, programs
from slurm.dev_cluster import cluster as module
from slurm.dev_cluster.processes import Daemon, Process, look, running
from tests.slurm.conftest import enter, require_slurm
from tests.slurm.test_processes import until

pytestmark = pytest.mark.xdist_group("slurm")
ROOT = Path(__file__).resolve().parents[2]


def ask(*command: str) -> str:
    """Run a program of Slurm; fail with what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def submit(script: str, *options: str, output: Path | str = os.devnull) -> str:
    return ask("sbatch", "--parsable", f"--output={output}", *options, f"--wrap={script}")


def states(job: str) -> list[str]:
    return ask("squeue", "--noheader", "--array", "--states=all", "--format=%T", f"--jobs={job}").split()


def ended(job: str) -> Callable[[], bool]:
    return lambda: not {"PENDING", "RUNNING", "COMPLETING"} & set(states(job))


def processes_in(folder: Path) -> list[Process]:
    """Everything that runs in ``folder`` or below it: daemons, and jobs submitted with it as their folder."""

    def at(process: Process) -> Path:
        try:
            return Path(f"/proc/{process.pid}/cwd").readlink()
        except OSError:
            return Path("/")

    return [process for process in running() if at(process).is_relative_to(folder)]


# --- what a cluster offers


def test_two_nodes_are_idle(cluster: DevCluster) -> None:
    until(lambda: cluster.nodes() == {"n1": "idle", "n2": "idle"}, "idle nodes")
    assert list(cluster.daemons()) == ["slurmctld", "slurmd-n1", "slurmd-n2"]
    for name, pid in cluster.daemons().items():
        process = look(pid or 0)
        assert process
        assert process.name == name.partition("-")[0]


def test_jobs_see_the_pretended_gpus_that_they_asked_for(cluster: DevCluster) -> None:
    show = ["bash", "-c", "echo $CUDA_VISIBLE_DEVICES on $SLURMD_NODENAME"]
    assert ask("srun", "--gres=gpu:2", "--nodelist=n2", *show) == "0,1 on n2"
    assert ask("srun", "--gres=gpu:a100:4", "--nodelist=n1", *show) == "0,1,2,3 on n1"
    for wrong in ("gpu:5", "gpu:h100:1"):
        done = subprocess.run(["srun", f"--gres={wrong}", *show], capture_output=True, text=True)
        assert "Requested node configuration is not available" in done.stderr


def test_an_array_runs_each_of_its_tasks(cluster: DevCluster, tmp_path: Path) -> None:
    job = submit(f"touch {tmp_path}/$SLURM_ARRAY_TASK_ID", "--array=3-6")
    until(ended(job), "the end of the array")
    assert states(job) == ["COMPLETED"] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4", "5", "6"]


def test_a_dependency_waits_for_success_and_dies_with_failure(cluster: DevCluster, tmp_path: Path) -> None:
    first = submit(f"sleep 1; touch {tmp_path}/first")
    second = submit(f"test -e {tmp_path}/first && touch {tmp_path}/second", f"--dependency=afterok:{first}")
    bad = submit("exit 3")
    never = submit(f"touch {tmp_path}/never", f"--dependency=afterok:{bad}", "--kill-on-invalid-dep=yes")
    for job in (second, never):
        until(ended(job), "the end of the chain")
    assert states(second) == ["COMPLETED"]
    assert (states(bad), states(never)) == (["FAILED"], ["CANCELLED"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_a_cancelled_job_ends(cluster: DevCluster, tmp_path: Path) -> None:
    job = submit("sleep 600", f"--chdir={tmp_path}")
    until(lambda: bool(processes_in(tmp_path)), "the job")
    ask("scancel", job)
    until(ended(job), "the end of the cancelled job")
    assert states(job) == ["CANCELLED"]
    until(lambda: not processes_in(tmp_path), "the end of its processes")


def test_a_job_of_low_priority_gives_way_and_comes_back(cluster: DevCluster, tmp_path: Path) -> None:
    trap = f'trap "touch {tmp_path}/asked; scontrol requeue $SLURM_JOB_ID; exit" USR2'
    script = f"{trap}; echo x >> {tmp_path}/runs; while true; do sleep 0.1; done"
    options = ("--partition=low", "--requeue", "--nodes=2", "--exclusive", "--signal=B:USR2@30", "--time=20")
    low = submit(script, *options)
    until(lambda: (tmp_path / "runs").exists(), "the job of low priority")
    assert ask("srun", "--partition=main", "echo", "important") == "important"
    until(lambda: (tmp_path / "runs").read_text() == "x\nx\n", "its second run")
    assert (tmp_path / "asked").exists()
    assert states(low) == ["RUNNING"]


def test_the_stand_in_answers_as_sacct_does(cluster: DevCluster) -> None:
    good, bad = submit("true"), submit("false")
    waiting = submit("true", "--array=0-1", "--hold")
    for job in (good, bad):
        until(ended(job), "the end of the jobs")
    question = ["sacct", "-o", "JobID,State,NodeList", "--parsable2"]
    lines = ask(*question, "-j", good, "-j", bad, "-j", waiting, "-j", "99999").splitlines()
    assert lines[0] == "JobID|State|NodeList"
    assert {tuple(line.split("|")[:2]) for line in lines[1:]} == {
        (good, "COMPLETED"), (bad, "FAILED"), (f"{waiting}_0", "PENDING"), (f"{waiting}_1", "PENDING"),
    }  # fmt: skip
    assert ask(*question, "-j", "99999") == "JobID|State|NodeList"
    refused = subprocess.run(["sacct", "-X"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "--accounting" in refused.stderr


def test_submitit_sees_results_and_deaths(cluster: DevCluster, tmp_path: Path) -> None:
    executor = SlurmExecutor(folder=tmp_path / "submitit", python=sys.executable)
    executor.update_parameters(time=20, mem="500MB", cpus_per_task=1, stderr_to_stdout=True, wckey="")
    with executor.batch():
        good, dead = executor.submit(pow, 2, 10), executor.submit(os._exit, 3)
    for job in (good, dead):
        until(job.done, f"the end of {job.job_id}")
    assert good.result() == 1024
    assert isinstance(dead.exception(), UncompletedJobError)
    assert dead.state == "FAILED"


# --- a node is lost


def test_a_lost_nodes_job_runs_again(cluster: DevCluster, tmp_path: Path) -> None:
    job = submit(f"echo $SLURM_RESTART_COUNT >> {tmp_path}/runs; sleep 600", "--nodelist=n2", f"--chdir={tmp_path}")
    until(lambda: (tmp_path / "runs").exists(), "the job")
    before = cluster.daemons()
    cluster.kill_node("n2")
    assert processes_in(tmp_path) == []
    assert cluster.daemons() == {**before, "slurmd-n2": None}
    assert states(job) == ["RUNNING"]  # as far as slurmctld knows
    cluster.start_node("n2")
    until(lambda: (tmp_path / "runs").read_text() == "\n1\n", "its second run")
    assert cluster.daemons()["slurmd-n1"] == before["slurmd-n1"]


def test_a_node_that_is_not_there(cluster: DevCluster) -> None:
    with pytest.raises(RequestError, match="node: 'n3' is not known; did you mean n"):
        cluster.kill_node("n3")


# --- starting and stopping


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for a cluster of the test's own; tmp_path may be too long a name."""
    path = tmp_path_factory.mktemp("c")
    yield path
    if configuration.load(path):
        DevCluster(path).stop()


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "slurm.dev_cluster", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=100)


def test_the_commands(folder: Path) -> None:
    require_slurm(accounting=False)
    started = command("start", folder, "--nodes", 1, "--gpus", 0)
    assert (started.returncode, started.stdout) == (0, f"ready: . {folder}/env.sh\n"), started.stderr
    status = command("status", folder)
    pids = DevCluster(folder).daemons()
    assert status.stdout.split() == (
        f"slurmctld running as {pids['slurmctld']} slurmd-n1 running as {pids['slurmd-n1']} idle".split()
    )
    again = command("start", folder)
    assert again.returncode == 2
    assert again.stderr == (
        f"error: DIR: a cluster runs in {folder}; end it: python -m slurm.dev_cluster stop {folder}\n"
    )
    shell = f". {folder}/env.sh; command -v sacct; sbatch --parsable --output=/dev/null --wrap 'sleep 600'"
    sacct, job = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=folder).stdout.split()
    assert sacct == str(folder / "bin" / "sacct")
    until(lambda: any(process.name == "sleep" for process in processes_in(folder)), "the job")

    for _ in "ab":
        stopped = command("stop", folder)
        assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "")
        assert processes_in(folder) == []
    assert command("status", folder).returncode == 1

    assert command("start", folder, "--nodes", 1).returncode == 0
    variables = {**os.environ, **environment(folder)}
    line = ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"]
    after = subprocess.run(line, capture_output=True, text=True, env=variables, check=True).stdout
    assert int(after) == int(job) + 1  # no number is used twice


@pytest.mark.parametrize("times", [1, 9])
def test_a_port_that_is_taken_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    require_slurm(accounting=False)
    free, asked = configuration.free_ports, []

    def ports(count: int) -> tuple[int, ...]:
        asked.append(count)
        return (*free(count - 1), taken) if len(asked) <= times else free(count)

    monkeypatch.setattr(configuration, "free_ports", ports)
    with socket.create_server((configuration.HOST, 0)) as other:
        taken = other.getsockname()[1]
        if times == 1:
            DevCluster(folder).start(nodes=1)
            assert DevCluster(folder).nodes() == {"n1": "idle"}
        else:
            with pytest.raises(RequestError, match="slurmd-n1: another program has just taken its port; try again"):
                DevCluster(folder).start(nodes=1)
            assert processes_in(folder) == []
    assert len(asked) == min(times + 1, module.ATTEMPTS)


def test_a_daemon_that_refuses_its_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_slurm(accounting=False)
    monkeypatch.setattr(configuration, "SLURM", configuration.SLURM + "NoSuchKey=1\n")
    with pytest.raises(RequestError, match=rf"slurmctld: ended; its last words: .*; more in {folder}/log"):
        DevCluster(folder).start()
    assert processes_in(folder) == []


@pytest.mark.slow
def test_real_accounting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_slurm(accounting=True)
    cluster = DevCluster(folder)
    cluster.start(nodes=1, accounting=True)
    enter(cluster, monkeypatch)
    assert list(cluster.daemons()) == ["mariadbd", "slurmdbd", "slurmctld", "slurmd-n1"]
    good, bad, cancelled = submit("true"), submit("exit 3"), submit("sleep 600")
    until(lambda: states(cancelled) == ["RUNNING"], "the last job")
    ask("scancel", cancelled)

    def accounts() -> dict[str, list[str]]:
        lines = ask("sacct", "-X", "--noheader", "--parsable2", "-o", "JobID,State,ExitCode,NodeList").splitlines()
        return {line.split("|")[0]: line.split("|")[1:] for line in lines}

    expected = {good: ["COMPLETED", "0:0", "n1"], bad: ["FAILED", "3:0", "n1"]}
    until(lambda: accounts() == {**expected, cancelled: [f"CANCELLED by {os.getuid()}", "0:0", "n1"]}, "the accounts")
    cluster.stop()
    assert processes_in(folder) == []


# --- without a cluster


@pytest.mark.parametrize("accounting", [False, True])
def test_missing_packages_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch, accounting: bool) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "SYSTEM", str(folder))
    wanted = "apt-get install --no-install-recommends slurmctld slurmd slurm-client munge"
    with pytest.raises(RequestError, match=r"no slurmctld, slurmd, .*") as caught:
        DevCluster(folder).start(accounting=accounting)
    assert str(caught.value).endswith(wanted + " slurmdbd mariadb-server-core" * accounting)
    assert list(folder.iterdir()) == []


def test_folders_that_do_not_fit(folder: Path) -> None:
    (folder / "file").touch()
    for wrong, reason in [
        (folder, "expected a new or empty folder, or that of a cluster"),
        (folder / "file", "expected a new or empty folder, or that of a cluster"),
        (folder / "a b", "expected letters, digits"),
        (folder / ("x" * 80), "expected 70 characters at most"),
    ]:
        with pytest.raises(RequestError, match=reason):
            DevCluster(wrong).start()
    for call in (DevCluster(folder).stop, DevCluster(folder).daemons, lambda: environment(folder)):
        with pytest.raises(RequestError, match="which holds none"):
            call()
    with pytest.raises(RequestError, match="nodes: expected 1 or more, got 0"):
        DevCluster(folder / "new").start(nodes=0)
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_only_the_process_that_was_started_is_stopped(tmp_path: Path) -> None:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    daemon = Daemon("sleep-a", tmp_path)
    daemon.start(["sleep", "600"], os.environ)
    mine = daemon.process()
    assert mine
    assert (mine.name, mine.parent) == ("sleep", os.getpid())
    # A record from before the machine started again: its PID is somebody else's now.
    for record, name in [(f"{mine.pid} {mine.started - 1}", "sleep-b"), (f"{mine.pid} {mine.started}", "slurmd-b")]:
        other = Daemon(name, tmp_path)
        (tmp_path / "run" / f"{name}.pid").write_text(record)
        assert other.process() is None
        other.stop()
        assert daemon.process() == mine
    Daemon("sleep-a", tmp_path).stop(signal.SIGINT)  # as another Python would
    assert daemon.process() is None


def test_what_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurm.dev_cluster.processes.END_SECONDS", 0.2)
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    daemon = Daemon("bash", tmp_path)
    daemon.start(["bash", "-c", "trap '' TERM; echo ready; while true; do sleep 0.1; done"], os.environ)
    until(lambda: daemon.printed() == "ready\n", "the trap")
    daemon.stop()
    assert daemon.process() is None
    assert not (tmp_path / "run" / "bash.pid").exists()
