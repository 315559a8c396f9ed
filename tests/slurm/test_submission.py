"""A submission: its scripts, its files, the order, what is in the queue already, one launcher at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from slurm import outcomes, station
from slurm.executor import Job
from slurm.groups import make
from slurm.launch import Launcher
from slurm.outcomes import Ended
from slurm.profile import Profile, load
from slurm.station import Station
from slurm.submission import Submission, covered, launching
from tests.slurm.fake import FakeSlurm, option

PROFILE = load("cpu", ["pack=2", "workers=3", "local_disks=[]"])
HERE = {"BENCH_HOME": "/data/my cache", "HF_HUB_OFFLINE": "1"}
JOBS = [
    Job("start-1", "start", "x:y", {"out": "o", "rules": {"a": 1}, "cell": {"seed": 0}}, kind="shared-start"),
    *(
        Job(f"cell-{n}", f"cell {n}", "x:y", {"out": "o", "rules": {"a": 1}, "cell": {"seed": n}}, ("start-1",),
            kind="cell", seconds=3.0, memory_bytes=2**20, on_failure="x:z")
        for n in range(5)
    ),
]  # fmt: skip


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def submit(
    out: Path, jobs: Sequence[Job] = JOBS, profile: Profile = PROFILE, live: dict[str, list[str]] | None = None
) -> Submission:
    submission = Submission.new(out)
    Launcher(submission, profile, HERE).submit(make(jobs, profile, live or {}))
    return submission


def unknown(number: int) -> list[Job]:
    return [Job(f"cell-{n}", f"cell {n}", "x:y", {"cell": n}, kind="cell") for n in range(number)]


def test_arrays_go_out_in_order_with_their_dependencies(fake: FakeSlurm, tmp_path: Path) -> None:
    submission = submit(tmp_path / "run")
    content = submission.content()
    assert content.id == submission.id
    assert content.profile == PROFILE.model_dump(mode="json")
    assert [(array.job_id, array.group, array.tasks, array.pack) for array in content.arrays] == [
        ("100", "start-1", 1, 1), ("101", "cell", 1, 2),
    ]  # fmt: skip
    assert {name: (entry.after, entry.jobs) for name, entry in content.groups.items()} == {
        "start-1": ([], ["start-1"]),
        "cell": (["100"], [f"cell-{n}" for n in range(5)]),
    }
    start, cell = fake.scripts.values()
    assert option(start, "dependency") is None
    assert option(start, "kill-on-invalid-dep") is None
    assert option(cell, "dependency") == "afterok:100"
    assert option(cell, "kill-on-invalid-dep") == "yes"
    assert Submission.all(tmp_path / "run") == [submission]


def test_threads_do_not_depend_on_how_many_cells_are_left(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = load("cpu", ["pack=2", "cpus=4", "workers=3", "local_disks=[]"])
    threads = []
    real = station.Station

    def noted(*arguments: Any) -> Station:
        made = real(*arguments)
        threads.append((made.group, made.pack, made.threads))
        return made

    monkeypatch.setattr(station, "Station", noted)
    submit(tmp_path / "all", JOBS, profile)
    submit(tmp_path / "left", JOBS[:2], profile)
    assert threads == [("start-1", 1, 4), ("cell", 2, 2), ("start-1", 1, 4), ("cell", 1, 2)]


def test_the_script(fake: FakeSlurm, tmp_path: Path) -> None:
    changes = ["gpus=1", "partition=p", "account=a", "qos=q", "constraint=c", "workers=3",
               "setup=[module load x]", "srun_args=[--mpi=none]", "pack=1",
               "extra={reservation: r, exclusive: true, no-kill: false}"]  # fmt: skip
    submission = submit(tmp_path / "run", unknown(7), load("a100", changes))
    (script,) = fake.scripts.values()
    expected = {
        "array": "0-2%3", "partition": "p", "account": "a", "qos": "q", "constraint": "c", "cpus-per-task": "8",
        "gpus-per-node": "1", "mem": "65536M", "time": "1440", "signal": "USR2@120", "reservation": "r",
        "exclusive": "", "requeue": "", "job-name": f"cell.{submission.id}", "wckey": None, "no-kill": None,
        "dependency": None, "error": None, "output": f"{submission.submitit}/%A_%a_0_log.out",
    }  # fmt: skip
    assert {name: option(script, name) for name in expected} == expected
    lines = script.splitlines()
    command = next(line for line in lines if line.startswith("srun "))
    assert "--mpi=none" in command
    assert f"{sys.executable} -u -m submitit.core._submit" in command
    before = lines[: lines.index(command)]
    assert before.index("module load x") < before.index("export SRUN_CPUS_PER_TASK=8")
    assert "export BENCH_HOME='/data/my cache'" in before
    assert "export HF_HUB_OFFLINE=1" in before


def test_what_is_shown_and_tested_is_what_is_submitted(fake: FakeSlurm, tmp_path: Path) -> None:
    for number in (1, 7):  # a job, and an array
        submission = Submission(tmp_path / "run", f"ID{number}")
        launcher = Launcher(submission, PROFILE, HERE)
        (group,) = make(unknown(number), PROFILE, {})
        launcher.submit([group])
        assert list(fake.scripts.values())[-1] == launcher.script(group, group.tasks)
        assert launcher.script(group, group.tasks) in fake.read("tested")


@pytest.mark.parametrize("key", ["gres=gpu:a100:1", "gpus=a100:1", "gpus-per-task=1"])
def test_another_way_to_ask_for_gpus_takes_the_place_of_ours(tmp_path: Path, key: str) -> None:
    profile = load("a100", [f"extra.{key}"])
    (group,) = make(unknown(1), profile, {})
    script = Launcher(Submission(tmp_path, "ID"), profile, {}).script(group, 1)
    assert option(script, "gpus-per-node") is None
    assert option(script, key.partition("=")[0]) == key.partition("=")[2]


def test_wckey(tmp_path: Path) -> None:
    profile = load("cpu", ["wckey=mine"])
    (group,) = make(unknown(1), profile, {})
    assert option(Launcher(Submission(tmp_path, "ID"), profile, {}).script(group, 1), "wckey") == "mine"


def test_long_arrays_are_split_at_the_limit(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.write("config", "MaxArraySize = 4\n")
    profile = load("cpu", ["pack=1", "workers=10"])
    jobs = [*unknown(10), Job("last", "last", "x:y", {}, ("cell-0",))]  # so that cell-0 is a group of its own
    submission = submit(tmp_path / "run", jobs, profile)
    assert [(array.group, array.tasks) for array in submission.content().arrays] == [
        ("cell-0", 1), ("cell", 3), ("cell", 3), ("cell", 3), ("job", 1),
    ]  # fmt: skip
    assert option(fake.scripts["101"], "array") == "0-2%3"
    assert len(list(submission.submitit.glob("*_submitted.pkl"))) == 11
    assert len(submit(tmp_path / "other", jobs, load("cpu", ["pack=1", "max_array_size=10"])).content().arrays) == 3


def test_the_jobs_come_back_as_they_were(fake: FakeSlurm, tmp_path: Path) -> None:
    submission = submit(tmp_path / "run")
    assert submission.jobs("start-1") == JOBS[:1]
    assert submission.jobs("cell") == JOBS[1:]
    assert '"rules"' in (submission.folder / "cell.json").read_text()
    assert (submission.folder / "cell.json").read_text().count('"rules"') == 1  # what all share is there once


def test_nothing_is_written_or_submitted_if_sbatch_refuses_a_script(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.write("refused", "sbatch: error: invalid partition specified: p\n")
    with pytest.raises(RequestError, match="before anything was submitted: invalid partition specified: p"):
        submit(tmp_path / "run")
    assert fake.scripts == {}
    assert not (tmp_path / "run").exists()


def test_a_refusal_half_way_leaves_what_is_needed_to_go_on(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.write("full", "1")
    with pytest.raises(RequestError, match=r"refuses cell: .*QOS policy \(in the queue already: 100; the same command"):
        submit(tmp_path / "run")
    (submission,) = Submission.all(tmp_path / "run")
    assert [array.job_id for array in submission.content().arrays] == ["100"]
    fake.write("queue", f"100|N/A|PENDING|{submission.job_name('start-1')}|Resources\n")
    live = covered(tmp_path / "run")
    assert live == {"start-1": ["100"]}
    (fake.folder / "full").unlink()
    again = submit(tmp_path / "run", live=live)
    assert again.content().groups["cell"].after == ["100"]
    assert option(fake.scripts["101"], "dependency") == "afterok:100"


def test_jobs_are_covered_while_an_array_of_their_group_is_queued_and_they_have_not_ended(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert covered(out) == {}
    submission = submit(out)
    queue = f"101|1|RUNNING|{submission.job_name('cell')}|None\n101|2|PENDING|{submission.job_name('cell')}|Resources\n"
    fake.write("queue", queue)
    assert covered(out) == {f"cell-{n}": ["101"] for n in range(5)}  # start-1 is not in the queue
    outcomes.write(out, "cell-0", Ended(submission.id, True, "", "", 1.0))
    outcomes.write(out, "cell-1", Ended(submission.id, False, "r", "", 1.0))
    outcomes.write(out, "cell-2", Ended("an earlier one", True, "", "", 1.0))
    assert covered(out).keys() == {"cell-2", "cell-3", "cell-4"}
    fake.write("queue", "")
    assert covered(out) == {}


def test_arrays_of_a_launcher_that_was_killed_are_found_by_their_name(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    submission = submit(out)
    content = submission.content()
    content.arrays.clear()  # killed before it could note them
    submission.save(content)
    fake.write("queue", f"101|1|RUNNING|{submission.job_name('cell')}|None\n")
    assert covered(out) == {f"cell-{n}": ["101"] for n in range(5)}


def test_an_array_of_a_launcher_that_was_killed_before_it_gave_it_work_is_cancelled(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    submission = submit(out)
    for path in submission.submitit.glob("101_*.pkl"):
        path.unlink()  # they get their names after sbatch has answered
    name = submission.job_name
    fake.write("queue", f"100|N/A|RUNNING|{name('start-1')}|None\n101|1|PENDING|{name('cell')}|Dependency\n")
    assert covered(out) == {"start-1": ["100"]}
    assert fake.read("cancelled") == "101\n"


def test_a_half_written_submission_covers_nothing(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    submission = submit(out)
    path = submission.folder / "submission.json"
    path.write_bytes(path.read_bytes()[:50])
    assert covered(out) == {}
    with pytest.raises(ValueError):
        submission.content()


def test_without_an_answer_nobody_knows_what_is_queued(fake: FakeSlurm, tmp_path: Path) -> None:
    submit(tmp_path / "run")
    (fake.folder / "queue").unlink()
    with pytest.raises(RequestError, match="has earlier submissions, and squeue does not say"):
        covered(tmp_path / "run")


HOLD = """
import sys
from pathlib import Path
from slurm.submission import launching
with launching(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_launcher_at_a_time(tmp_path: Path) -> None:
    with (
        launching(tmp_path),
        pytest.raises(RequestError, match="another launcher is submitting from"),
        launching(tmp_path),
    ):
        pass
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env=dict(os.environ)
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RequestError, match="another launcher"), launching(tmp_path):
            pass
        other.kill()
    with launching(tmp_path):  # one that was killed holds nothing
        pass
