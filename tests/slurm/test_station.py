"""What runs inside an array task: jobs claimed and handed to processes, deaths, signals, a start again.

This module is also the array task: ``python -m tests.slurm.test_station PICKLE [LINGER SECONDS]``.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import NotPreparedError
from slurm import claims, shift, station
from slurm.claims import Claims, holders
from slurm.station import Station
from tests.conftest import ROOT
from tests.slurm import stations
from tests.slurm.stations import ended, job
from tests.slurm.test_processes import gone, until


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A station changes its process, which is no other's."""
    for name in ("BENCH_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(shift, "LOOK_AGAIN_SECONDS", 0.2)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def start(task: Station, folder: Path, linger: float = 0.1) -> subprocess.Popen[bytes]:
    """Run a station in a process of its own."""
    path = folder / f"station-{len(list(folder.glob('station-*')))}"
    path.write_bytes(pickle.dumps(task))
    command = [sys.executable, "-m", "tests.slurm.test_station", str(path), str(linger)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    try:
        text = process.communicate(timeout=60)[0].decode()
    finally:
        process.kill()
    return process.returncode, text


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_all_jobs_once_and_a_failing_one_fails_nothing_else(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", str(tmp_path)
    jobs = [*(job(f"n{number}", folder=folder, values=number) for number in range(5)), job("bad", "fail")]
    stations.station(out, jobs)()
    for number in range(5):
        (text,) = lines(tmp_path / f"n{number}")
        assert text.split()[1:] == ["1", "dict", str(number)]  # threads, payload
        found = ended(out, f"n{number}")
        assert (found.submission, found.ok, found.reason, found.traceback) == ("s1", True, "", "")
        assert found.seconds > 0
    bad = ended(out, "bad")
    assert (bad.ok, bad.reason) == (False, "ValueError: two lines")
    assert 'raise ValueError("two\\n  lines")' in bad.traceback
    assert holders(out / "claims") == {}
    assert len({lines(tmp_path / f"n{number}")[0].split()[0] for number in range(5)}) <= 2  # as many processes

    before = {path.name: path.read_bytes() for path in (out / "outcomes").iterdir()}
    stations.station(out, jobs)()  # as when the array task starts again
    assert {path.name: path.read_bytes() for path in (out / "outcomes").iterdir()} == before
    stations.station(out, jobs[:1], submission="s2")()  # another submission means it
    assert [len(lines(tmp_path / f"n{number}")) for number in range(5)] == [2, 1, 1, 1, 1]
    assert ended(out, "n0").submission == "s2"


def test_children_find_the_environment_and_the_logs_what_they_print(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stations.station(out, [job("a", "environment", folder=str(tmp_path)), job("b", "speak")], pack=1)()
    assert (tmp_path / "a").read_text() == "1 1 False"
    assert os.environ["HF_HUB_OFFLINE"] == "1"  # children inherit it
    assert os.environ["BENCH_HOME"] == str(out)
    assert (out / "logs" / "b.log").read_text() == "from python\nfrom a child\n"


def test_a_task_that_others_wait_for_fails_with_its_job(tmp_path: Path) -> None:
    out = tmp_path / "out"
    good = job("good", folder=str(tmp_path))
    stations.station(out, [good], needed=True)()
    for _ in range(2):  # also when it starts again
        with pytest.raises(RuntimeError, match="not all jobs succeeded: job bad: ValueError: two lines"):
            stations.station(out, [good, job("bad", "fail")], needed=True)()
    assert len(lines(tmp_path / "good")) == 1


@pytest.mark.parametrize(("times", "ok"), [(1, True), (2, True), (3, False), (9, False)])
def test_a_job_that_dies_is_tried_again_so_many_times(tmp_path: Path, times: int, ok: bool) -> None:
    out = tmp_path / "out"
    stubborn = job("a", "die_at_first", "noted", folder=str(tmp_path), times=times)
    stations.station(out, [stubborn, job("b", folder=str(tmp_path))], pack=1)()
    assert lines(tmp_path / "a") == [str(number) for number in range(min(times, 2) + 1)]  # what each attempt is told
    found = ended(out, "a")
    assert found.ok == ok
    assert ended(out, "b").ok
    assert (tmp_path / "a.failed").exists() == (not ok)
    if not ok:
        assert found.reason.startswith("died 3 times, the last time: the worker process was killed by signal SIGKILL")
        assert found.traceback == "attempt after 2 deaths"
        assert lines(tmp_path / "a.failed") == [found.reason, found.traceback, "False"]
    assert holders(out / "claims") == {}
    again = Claims(out / "claims", "later").take("a")
    assert again
    assert again.deaths == 0  # a later submission starts to count anew


def test_a_job_whose_tasks_were_all_lost_is_given_up_without_another(tmp_path: Path) -> None:
    out = tmp_path / "out"
    task = stations.station(out, [job("a", "note", "noted", folder=str(tmp_path))])
    lost = Claims(out / "claims", "lost")
    claim = lost.take("a")
    assert claim
    for _ in range(3):
        lost.died(claim)
    lost.release(claim)
    (out / "logs").mkdir()
    (out / "logs" / "a.log").write_text("one last word\n")
    task()
    found = ended(out, "a")
    assert (found.ok, found.traceback) == (False, "one last word")
    assert found.reason == "the array task that ran it was killed 3 times"
    assert lines(tmp_path / "a.failed") == [found.reason, found.traceback, "False"]
    assert not (tmp_path / "a").exists()


def test_a_hook_that_fails_hides_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    stations.station(out, [job("a", "leave", "no_such_function")])()
    assert ended(out, "a").reason.startswith("died 3 times, the last time: the worker process exited with code 3")
    assert "no_such_function failed for job a: AttributeError" in capfd.readouterr().out


def test_two_stations_share_the_jobs(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", str(tmp_path)
    # The first two wait for each other: with one process each, they need both stations.
    pair = [job("p", "wait_for", folder=folder, until="q"), job("q", "wait_for", folder=folder, until="p")]
    task = stations.station(out, [*pair, *(job(f"n{number}", folder=folder) for number in range(20))], pack=1)
    both = [start(task, tmp_path), start(task, tmp_path)]
    assert [finish(each)[0] for each in both] == [0, 0]
    assert all(ended(out, name).ok for name in ["p", "q", *(f"n{number}" for number in range(20))])
    assert [len(lines(tmp_path / f"n{number}")) for number in range(20)] == [1] * 20


@pytest.mark.parametrize("needed", [False, True])
def test_a_station_leaves_a_job_that_runs_elsewhere_unless_others_wait_for_it(tmp_path: Path, needed: bool) -> None:
    out = tmp_path / "out"
    task = stations.station(out, [job("a", "wait_for", folder=str(tmp_path), until="end")], needed=needed)
    first = start(task, tmp_path)
    until(lambda: (tmp_path / "a").exists(), "the job running")
    path = out / "claims" / "a.0.json"

    def beat() -> None:
        time.sleep(1.5)
        os.utime(path)
        time.sleep(1)
        (tmp_path / "end").touch()

    beaten = threading.Thread(target=beat)
    beaten.start()
    task()
    assert (tmp_path / "end").exists() == needed  # who waits does so until the end
    beaten.join()
    assert finish(first)[0] == 0
    assert ended(out, "a").ok


def test_a_station_that_was_killed_is_followed_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    task = stations.station(out, [job("a", "wait_for", folder=str(tmp_path), until="end")])
    first = start(task, tmp_path)
    until(lambda: (tmp_path / "a").exists(), "the job running")
    first.kill()
    finish(first)
    (tmp_path / "end").touch()
    task()
    assert ended(out, "a").ok


def test_cancelled(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", str(tmp_path)
    task = stations.station(out, [job(name, "save_when_asked", folder=folder) for name in "abc"])
    process = start(task, tmp_path)
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), "two jobs running")
    process.terminate()
    code, text = finish(process)
    assert code == 1
    assert "RuntimeError: interrupted before all jobs had ended" in text
    assert sorted(path.name for path in tmp_path.glob("*.saved")) == ["a.saved", "b.saved"]
    assert not (tmp_path / "c").exists()
    assert not list((out).glob("outcomes/*"))
    assert holders(out / "claims") == {}
    claim = Claims(out / "claims", "next").take("a")
    assert claim
    assert claim.deaths == 0


@pytest.mark.parametrize("first", ["station", "jobs"])
def test_preempted_and_started_again(tmp_path: Path, first: str) -> None:
    """Through submitit, with the signal to the station first or, as may happen, to the jobs' processes."""
    from submitit import LocalExecutor

    out, folder = tmp_path / "out", str(tmp_path)
    jobs = [job("a", "stop_once", folder=folder), job("b", "stop_once", folder=folder), job("c", folder=folder)]
    executor = LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=60)
    submitted = executor.submit(stations.station(out, jobs))
    until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists(), "two jobs running")
    workers, parent = zip(*((tmp_path / name).read_text().split() for name in "ab"), strict=True)
    assert len(set(parent)) == 1
    everyone = [*map(int, workers), int(parent[0])]
    if first == "jobs":
        for pid in everyone[:2]:
            os.kill(pid, signal.SIGUSR2)
        time.sleep(0.5)
    os.kill(everyone[2], signal.SIGUSR2)
    until(submitted.done, "the end")
    text = submitted.stdout() or ""
    assert submitted.result() is None, text
    assert "Requeued job" in (submitted.stderr() or "") + text
    for name in "ab":
        assert ended(out, name).ok
        assert lines(tmp_path / f"{name}.ended") == ["0"]  # deaths that it was told of
    assert all(gone(pid) for pid in everyone)
    assert len(lines(tmp_path / "c")) == 1
    assert holders(out / "claims") == {}


def test_killed_while_it_stops_counts_as_no_death(tmp_path: Path) -> None:
    out = tmp_path / "out"
    task = stations.station(out, [job("a", "ignore_asking", folder=str(tmp_path))])
    process = start(task, tmp_path)
    until(lambda: (tmp_path / "a").exists(), "the job running")
    process.terminate()
    until(lambda: holders(out / "claims")["a"].state == "stopping", "the note")
    process.kill()
    os.kill(int((tmp_path / "a").read_text()), signal.SIGKILL)
    finish(process)
    claim = Claims(out / "claims", "next").take("a")
    assert claim
    assert claim.deaths == 0


def test_a_checkpoint_before_anything_started(tmp_path: Path) -> None:
    task = stations.station(tmp_path / "out", [job("a")])
    before = signal.getsignal(signal.SIGUSR2)
    try:
        assert task.checkpoint().function == task
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_lost_claim_stops_the_job_and_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.1)
    out = tmp_path / "out"
    task = stations.station(out, [job("a", "save_when_asked", folder=str(tmp_path))])

    def rob() -> None:
        until(lambda: (tmp_path / "a").exists(), "the job running")
        path = out / "claims" / "a.0.json"
        (out / "claims" / "a.1.json").write_text(path.read_text().replace('"owner": "', '"owner": "thief '))
        until(lambda: (tmp_path / "a.saved").exists(), "the job stopped")
        (out / "outcomes").mkdir()
        (out / "outcomes" / "a.json").write_text(
            '{"submission": "s1", "ok": true, "reason": "", "traceback": "", "seconds": 1.0, "finished": "now"}'
        )

    robber = threading.Thread(target=rob)
    robber.start()
    task()
    robber.join()
    assert ended(out, "a").finished == "now"


@pytest.mark.parametrize(("missing", "name"), [("out", "the run folder (--out)"), ("home", "the cache (BENCH_HOME)")])
def test_a_folder_that_is_not_on_this_node(tmp_path: Path, missing: str, name: str) -> None:
    task = stations.station(tmp_path / "out", [job("a", folder=str(tmp_path))])
    gone_away = tmp_path / "away"
    if missing == "out":
        task.out = gone_away
    else:
        task.environment = {"BENCH_HOME": str(gone_away)}
    with pytest.raises(NotPreparedError) as caught:
        task()
    assert str(caught.value).startswith(f"{name}: expected a folder that node ")
    assert str(gone_away) in str(caught.value)
    assert not (tmp_path / "out" / "claims").exists()


def test_a_run_folder_that_is_full_ends_the_jobs(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", str(tmp_path)
    task = stations.station(out, [job("a", folder=folder), job("b", "save_when_asked", folder=folder)])
    (out / "outcomes").write_text("a file where a folder must be")
    with pytest.raises(OSError, match="outcomes"):
        task()
    if (tmp_path / "b").exists():
        assert gone(int((tmp_path / "b").read_text()))


def test_a_station_is_small_and_imports_little(tmp_path: Path) -> None:
    task = stations.station(tmp_path / "out", [job("a", folder=str(tmp_path), values="x" * 10_000)])
    task()
    assert len(pickle.dumps(task.checkpoint())) < 1000
    code = "import sys, slurm.station, slurm.exclusive; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


if __name__ == "__main__":
    station.LINGER_SECONDS, shift.LOOK_AGAIN_SECONDS = float(sys.argv[2]), 0.2
    pickle.loads(Path(sys.argv[1]).read_bytes())()
