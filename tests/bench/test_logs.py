"""Logs: one job's output, found by any of its names, and why it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.commands.logs import logs_of
from bench.errors import RequestError
from tests.bench.commandline import bench, refused
from tests.bench.fabricated import cell, claim, done, ended, failed, jobs, log, plan, queued, shared, submit
from tests.slurm.fake import FakeSlurm

CELLS = [cell("cp", 0, "aaaa0000"), cell("cp", 1, "aaaa1111"), cell("cp", 10, "bbbb2222"), cell("tapweight", 0, "cccc")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Four planned cells and a shared stage, each with a log of 100 lines."""
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    plan(folder, CELLS)
    for name in (*(f"cell-{one['identity']}" for one in CELLS), "start-77aa"):
        (folder / "logs" / f"{name}.log").write_text("".join(f"{name} line {n}\n" for n in range(100)))
    return folder


@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("cp/demo:rings/0", "cell-aaaa0000"),
        ("cp/demo:rings/1", "cell-aaaa1111"),
        ("cp/demo:rings/seed-10", "cell-bbbb2222"),
        ("tapweight/demo:rings", "cell-cccc"),
        ("cp/rings/1", "cell-aaaa1111"),
        ("tapweight/rings", "cell-cccc"),
        ("aaaa1", "cell-aaaa1111"),
        ("cell-bbbb", "cell-bbbb2222"),
        ("cccc", "cell-cccc"),
        ("start", "start-77aa"),
        ("start-77", "start-77aa"),
    ],
)
def test_every_name_of_a_job(out: Path, name: str, job: str) -> None:
    lines = logs_of(out, name, 3).splitlines()
    assert lines[-4:] == [f"{out}/logs/{job}.log:", *(f"{job} line {n}" for n in (97, 98, 99))]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cp/demo:rings", ["fits 3 jobs, expected one of aaaa0000 (cp/demo:rings/0, resnet18, smoke), aaaa1111"]),
        ("aaaa", ["fits 2 jobs"]),
        ("cp/demo:ring/1", ["is not known; did you mean cp/demo:rings/1"]),
        ("cp/demo:rings/2", ["is not known; did you mean cp/demo:rings/"]),
        ("tapwieght/demo:rings", ["is not known; did you mean tapweight/demo:rings"]),
        ("strat-77aa", ["is not known; did you mean start-77aa"]),
        ("a", ["is not known"]),
        ("", ["is not known"]),
    ],
)
def test_names_that_do_not_fit(out: Path, name: str, parts: list[str]) -> None:
    refused(bench("logs", name, "--out", out), 2, f"CELL: {name!r}", *parts)


def test_two_backbones_of_one_cell_are_told_apart(out: Path) -> None:
    plan(out, [cell("cp", 0, "aaaa0000"), cell("cp", 0, "dddd", backbone="roberta")])
    with pytest.raises(RequestError, match=r"aaaa0000 \(cp/demo:rings/0, resnet18, smoke\), dddd \(.*, roberta, "):
        logs_of(out, "cp/demo:rings/0", 3)


def test_other_wrong_requests(out: Path, tmp_path: Path) -> None:
    refused(bench("logs", "cccc", "--out", out, "--lines", "0"), 2, "--lines: expected at least 1, got 0")
    refused(bench("logs", "cccc", "--out", tmp_path / "none"), 2, "--out: expected the folder of a run")


def test_a_failure_tells_its_reason_and_traceback(out: Path) -> None:
    failed(out, 1, **CELLS[0])
    lines = logs_of(out, "cp/demo:rings/0", 1).splitlines()
    assert lines[0] == "cp demo:rings seed 0 (aaaa0000): failed"
    assert lines[-2:] == ["failed: it broke", "t"]
    done(out, **CELLS[0])
    assert logs_of(out, "cp/demo:rings/0", 1).splitlines()[-1] == "cell-aaaa0000 line 99"


def test_a_cell_without_a_log(out: Path) -> None:
    (out / "logs" / "cell-cccc.log").unlink()
    assert "no log: it has not begun" in logs_of(out, "cccc", 5)
    (out / "logs" / "cell-cccc.log").write_text("")
    assert logs_of(out, "cccc", 5).splitlines()[-1] == "(empty)"
    (out / "logs" / "cell-cccc.log").write_bytes(b"\xff\xfe\n" + b"x" * 1_000_000)  # a line of a progress bar
    assert len(logs_of(out, "cccc", 5)) < 10_000


def test_what_the_array_task_says_of_its_end(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    FakeSlurm(tmp_path, monkeypatch)
    submission = submit(out, {"start": [shared("start-77aa")], "cell": jobs(CELLS, "start-77aa")})
    claim(out, "cell-aaaa1111", "slurm 11_0", turn=0)
    claim(out, "cell-aaaa1111", "slurm 11_1", turn=1, beat=-1, state="free")
    log(submission, "11_0", "12:00:00 died   cp demo:rings seed 1: killed by signal SIGKILL")
    ours = log(
        submission, "11_1",
        "12:00:00 start  cp demo:rings seed 1",
        "12:00:01 start  cp demo:rings seed 10",
        "12:03:00 died   cp demo:rings seed 1: killed by signal SIGSEGV",
        "srun: got SIGCONT",
        "slurmstepd-n1: error: Detected 1 oom_kill event in StepId=11.0",
        "srun: error: n1: task 0: Out Of Memory",
    )  # fmt: skip
    assert logs_of(out, "aaaa1", 1).split("\n\n")[-1].splitlines() == [
        f"{ours}:",
        "  12:00:00 start  cp demo:rings seed 1",
        "  12:03:00 died   cp demo:rings seed 1: killed by signal SIGSEGV",
        "  slurmstepd-n1: error: Detected 1 oom_kill event in StepId=11.0",
    ]
    other = log(submission, "10", "bench.errors.NotPreparedError: the cache", "srun: error: n1: task 0: Exited with 1")
    text = logs_of(out, "start", 1)  # which nobody ever claimed
    assert text.splitlines()[0] == "start (shared, seed 0) (start-77aa): lost"
    assert text.splitlines()[-2:] == [f"{other}:", "  bench.errors.NotPreparedError: the cache"]
    ended(out, submission, "start-77aa", "died 3 times")
    assert logs_of(out, "start", 1).splitlines()[-2:] == ["failed: died 3 times", "its last lines"]


def test_states_are_those_of_status(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSlurm(tmp_path, monkeypatch)
    submission = submit(out, {"cell": jobs(CELLS)})
    fake.write("queue", queued(submission, ("10_0", "cell", "RUNNING")))
    claim(out, "cell-cccc", "slurm 10_0")
    assert logs_of(out, "cccc", 1).startswith("tapweight demo:rings seed 0 (cccc): running\n")
    assert logs_of(out, "bbbb", 1).startswith("cp demo:rings seed 10 (bbbb2222): queued\n")
