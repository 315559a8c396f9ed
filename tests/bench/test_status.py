"""Status: read from the folder and the queue alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands.running import FRESH_SECONDS, read
from bench.commands.status import MANY, status_of
from bench.errors import RequestError
from slurm.claims import STALE_SECONDS
from slurm.submission import Submission
from tests.bench.fabricated import (
    TASK,
    cell,
    claim,
    done,
    ended,
    failed,
    jobs,
    log,
    plan,
    progress,
    queued,
    shared,
    submit,
)
from tests.slurm.fake import FakeSlurm

METHODS = ("cp", "tapweight")
CELLS = [cell("cp", seed) for seed in range(6)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def first(out: Path) -> str:
    return status_of(out).splitlines()[0].partition(" of ")[0]


def test_done_failed_missing_and_running(tmp_path: Path) -> None:
    plan(tmp_path, [cell(method, seed) for method in METHODS for seed in range(3)])
    done(tmp_path, **cell("cp", 0))
    done(tmp_path, **cell("cp", 1))
    failed(tmp_path, 2, **cell("tapweight", 0))
    progress(tmp_path, "alive")
    progress(tmp_path, "gone", age=FRESH_SECONDS + 1)
    lines = status_of(tmp_path).splitlines()
    assert lines[0] == f"2 done, 1 failed, 3 missing of 6 cells in {tmp_path}"
    rows = [line.split() for line in lines]
    assert ["method", "task", "done", "failed", "missing"] in rows
    assert ["cp", "demo:rings", "2", "0", "1"] in rows
    assert ["tapweight", "demo:rings", "0", "1", "2"] in rows
    (running,) = [line for line in lines if line.startswith("  alive")]
    assert running.startswith("  alive, finetune: step 3 of 8, 13.3 s/step, since 20")
    assert re.search(r"\(4\d s\)$", running)
    assert not any("gone" in line for line in lines)
    assert "  tapweight demo:rings seed 0 (attempt 2): it broke" in lines
    assert not any("queue" in line for line in lines)


def test_results_of_earlier_settings_are_not_counted(tmp_path: Path) -> None:
    plan(tmp_path, [cell("cp", 0, "new")])
    done(tmp_path, **cell("cp", 0, "old"))
    failed(tmp_path, 1, **cell("cp", 0, "older"))
    assert status_of(tmp_path).startswith("0 done, 0 failed, 1 missing of 1 cells")
    done(tmp_path, **cell("cp", 1))  # of a folder that was copied in: no plan names it
    assert status_of(tmp_path).startswith("1 done, 0 failed, 1 missing of 2 cells")


def test_records_alone_will_do(tmp_path: Path) -> None:
    done(tmp_path, **cell("cp", 0))
    assert status_of(tmp_path).startswith("1 done, 0 failed, 0 missing of 1 cells")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    done(tmp_path, **cell("cp", 0))
    (tmp_path / "plan.json").write_text("{")
    (path,) = (tmp_path / "records").glob("*/*/*.json")
    path.write_text("{")
    lines = status_of(tmp_path).splitlines()
    assert f"damaged: {path}" in lines
    assert f"damaged: {tmp_path / 'plan.json'}" in lines


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"updated": "now"}', '{"updated": 1e20}'])
def test_a_progress_file_in_the_making_is_passed_over(tmp_path: Path, content: str) -> None:
    progress(tmp_path, "alive")
    (tmp_path / "progress" / "half.json").write_text(content)
    assert [content.what for content, _ in read(tmp_path).values()] == ["alive, finetune"]


def test_a_folder_that_is_none_of_a_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RequestError, match="--out: expected the folder of a run"):
            status_of(folder)
    assert list(tmp_path.iterdir()) == []


def test_many_failures_of_one_reason_are_one_line(tmp_path: Path) -> None:
    for seed in range(MANY + 5):
        failed(tmp_path, 1, **cell("cp", seed))
        failed(tmp_path, 1, f"reason {seed:02}", **cell("tapweight", seed))
    lines = status_of(tmp_path).splitlines()
    assert f"  cp {TASK} seed 0 (attempt 1) and {MANY + 4} more cells: it broke" in lines
    assert sum(": reason " in line for line in lines) == MANY - 1
    assert lines[-1] == "  ... and 6 more"


def test_the_rate_counts_the_steps_of_this_attempt(tmp_path: Path) -> None:
    plan(tmp_path, [cell("cp", 0)])
    progress(tmp_path, "cp-0", step=1003, steps=2000, first=603, what="cp demo:rings seed 0, continued")
    text = status_of(tmp_path)
    assert "  cp demo:rings seed 0, continued: step 1003 of 2000, 10 steps/s, since 20" in text
    assert text.startswith("0 done, 0 failed, 1 running, 0 missing of 1 cells")


def under_way(out: Path, fake: FakeSlurm) -> Submission:
    """Cells 0 to 5: done, failed, running, starting, claimed by a task that waits to start again, queued."""
    out.mkdir()
    plan(out, CELLS)
    submission = submit(out, {"cell": jobs(CELLS)})
    for seed, state in (("0", "RUNNING"), ("1", "RUNNING"), ("2", "PENDING BeginTime")):
        fake.write("queue", fake.read("queue") + queued(submission, (f"10_{seed}", "cell", state)))
    done(out, **CELLS[0])
    ended(out, submission, "cell-cp-0")
    failed(out, 1, "died 3 times, the last time: SIGKILL", **CELLS[1])
    ended(out, submission, "cell-cp-1", "died 3 times, the last time: SIGKILL")
    claim(out, "cell-cp-2", "slurm 10_0", deaths=1)
    progress(out, "cp-2", what="cp demo:rings seed 2, finetune")
    claim(out, "cell-cp-3", "slurm 10_1", since=30, turn=1)
    progress(out, "cp-3", what="cp demo:rings seed 3, finetune", age=50)  # of the attempt before
    claim(out, "cell-cp-4", "slurm 10_2")
    progress(out, "cp-4", what="cp demo:rings seed 4, finetune", age=30)
    return submission


def test_a_submission_under_way(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    lines = status_of(out).splitlines()
    assert lines[0].startswith("1 done, 1 failed, 2 running, 2 queued, 0 missing of 6 cells")
    assert ["cp", TASK, "1", "1", "2", "2", "0"] in [line.split() for line in lines]
    assert "array tasks in the queue: 2 running, 1 waiting (1 BeginTime)" in lines
    running = [line for line in lines if line.endswith("on n1") or "on n1," in line]
    assert running[0].startswith("  cp demo:rings seed 2, finetune: step 3 of 8, 13.3 s/step, since 20")
    assert re.search(r"\(6\d s\), on n1, deaths before: 1$", running[0])
    assert running[1].startswith("  cp demo:rings seed 3: starting, since 20")
    assert re.search(r"\(3\d s\), on n1$", running[1])
    assert len(running) == 2
    assert "  cp demo:rings seed 1 (attempt 1): died 3 times, the last time: SIGKILL" in lines


@pytest.mark.parametrize("squeue", ["absent", "down"])
def test_without_slurm_heartbeats_tell_what_runs(
    tmp_path: Path, fake: FakeSlurm, squeue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    claim(out, "cell-cp-2", "slurm 10_0", beat=STALE_SECONDS + 5)
    claim(out, "cell-cp-3", "slurm 10_1", beat=STALE_SECONDS - 60, turn=1)
    (out / "progress" / "cp-2.json").unlink()
    if squeue == "absent":
        monkeypatch.setenv("PATH", str(tmp_path))
    (fake.folder / "queue").unlink()
    text = status_of(out)
    assert text.startswith("1 done, 1 failed, 2 running, 2 missing of 6 cells")  # cells 3 and 4
    assert "Slurm's queue could not be asked here: 2 of the missing cells may wait in it" in text
    assert "no sign of life for 4 min" in text
    assert "left the queue" not in text


def test_a_task_that_slurm_ended_does_not_run(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    submission = under_way(out, fake)
    fake.write("queue", queued(submission, ("10_2", "cell", "PENDING BeginTime")))  # heartbeats are still fresh
    assert first(out) == "1 done, 1 failed, 4 queued, 0 missing"
    fake.write("queue", "")
    log(submission, "10_0", "12:00:00 start  x", "slurmstepd: error: *** STEP 11.0 ON n1 CANCELLED AT 12:01 ***")
    log(submission, "10_1", "Traceback", "bench.errors.NotPreparedError: no cache", "srun: error: task 0: exited")
    text = status_of(out)
    assert text.startswith("1 done, 1 failed, 4 missing of 6 cells")
    assert "4 cells left the queue before they ended (cancelled, or lost); the same `run` submits them again" in text
    assert "  array task 10_0: slurmstepd: error: *** STEP 11.0 ON n1 CANCELLED AT 12:01 ***" in text
    assert "  array task 10_1: bench.errors.NotPreparedError: no cache" in text


def test_a_launcher_that_died_before_it_noted_its_arrays(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    submission = under_way(out, fake)
    submission.save(submission.content().model_copy(update={"arrays": []}))
    assert first(out) == "1 done, 1 failed, 2 running, 2 queued, 0 missing"
    (out / "plan.json").unlink()
    assert first(out) == "1 done, 1 failed, 2 running, 2 queued, 0 missing"


def test_a_claim_of_somebody_unknown_counts_as_long_as_it_beats(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    claim(out, "cell-cp-4", "slurm 99_7")  # of a submission whose file is gone
    claim(out, "cell-cp-5", "somebody", beat=STALE_SECONDS + 5)
    assert first(out) == "1 done, 1 failed, 3 running, 1 queued, 0 missing"
    claim(out, "cell-cp-5", "somebody")
    assert first(out) == "1 done, 1 failed, 4 running, 0 missing"
    for state in ("stopping", "free"):
        claim(out, "cell-cp-5", "somebody", state=state)
        assert ("5: stopping, starting" in status_of(out)) == (state == "stopping")
    assert first(out) == "1 done, 1 failed, 3 running, 1 queued, 0 missing"


def test_a_run_without_slurm_in_the_folder_of_a_submission(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    fake.write("queue", "")
    assert first(out) == "1 done, 1 failed, 4 missing"  # though their progress files are fresh
    claim(out, "cell-cp-2", "slurm 10_0", beat=90)  # killed, and some time later
    assert first(out) == "1 done, 1 failed, 1 running, 3 missing"
    claim(out, "cell-cp-3", "slurm 10_1", state="free", turn=1)
    progress(out, "cp-3", age=-1, what="cp demo:rings seed 3, finetune")
    assert first(out) == "1 done, 1 failed, 2 running, 2 missing"


def test_a_shared_stage_that_failed_and_who_waits_in_vain(tmp_path: Path, fake: FakeSlurm) -> None:
    plan(tmp_path, CELLS)
    groups = {
        "a": [shared("start-a")],
        "b": [shared("continued-b", "start-a")],
        "c": [shared("start-c")],
        "needs-b": jobs(CELLS[:2], "continued-b"),
        "needs-c": jobs(CELLS[2:4], "start-c"),
        "free": jobs(CELLS[4:]),
    }
    submission = submit(tmp_path, groups)
    ended(tmp_path, submission, "start-a", "ValueError: no such corpus")
    never = ("13_0", "needs-b", "PENDING DependencyNeverSatisfied")  # where the site does not cancel it
    fake.write("queue", queued(submission, never, ("12", "c", "RUNNING"), ("14_0", "needs-c", "PENDING Dependency")))
    claim(tmp_path, "start-c", "slurm 12")
    text = status_of(tmp_path)
    assert text.startswith("0 done, 0 failed, 2 queued, 4 missing")
    assert "shared stages: 1 failed, 1 lost, 1 running" in text
    again = "until the same `run` submits them again"
    assert f"  start (shared, seed 0) failed: ValueError: no such corpus; 2 cells wait for it in vain, {again}" in text
    assert "  start (shared, seed 0): starting, since" in text
    assert "2 cells left the queue before they ended" in text  # those that need no stage
    newer = submit(tmp_path, {"a": [shared("start-a")], "cell": jobs(CELLS[:2], "start-a")}, first=20, name="s2")
    fake.write("queue", queued(newer, ("20", "a", "PENDING Resources"), ("21_0", "cell", "PENDING Dependency")))
    again = status_of(tmp_path)
    assert again.startswith("0 done, 0 failed, 2 queued, 4 missing")
    assert "no such corpus" not in again
    fake.write("queue", "")
    ended(tmp_path, newer, "start-a", "ValueError: again")
    assert "start (shared, seed 0) failed: ValueError: again; 2 cells wait for it in vain" in status_of(tmp_path)
    for one in CELLS:  # by a run without Slurm
        done(tmp_path, **one)
    assert "shared stages:" not in status_of(tmp_path)


def test_without_slurm_nothing_is_said_to_be_lost(tmp_path: Path, fake: FakeSlurm) -> None:
    plan(tmp_path, CELLS)
    submission = submit(tmp_path, {"a": [shared("start-a")], "b": [shared("start-b")], "c": jobs(CELLS, "start-a")})
    ended(tmp_path, submission, "start-b", "broken")
    (fake.folder / "queue").unlink()
    text = status_of(tmp_path)
    assert "queue could not be asked here: 6 of the missing" in text
    assert "shared stages: 1 unknown, 1 failed\n  start (shared, seed 0) failed: broken" in text
    assert "left the queue" not in text
    assert "in vain" not in text


def test_the_end_is_estimated_from_what_such_cells_took(tmp_path: Path, fake: FakeSlurm) -> None:
    plan(tmp_path, CELLS)
    submission = submit(tmp_path, {"cell": jobs(CELLS)})
    fake.write("queue", queued(submission, ("10_0", "cell", "RUNNING"), ("10_1", "cell", "RUNNING")))
    assert "estimated finish: none (no cell runs now" in status_of(tmp_path)
    for seed in (0, 1):
        claim(tmp_path, f"cell-cp-{seed}", f"slurm 10_{seed}", since=1800)
    assert "estimated finish: none (nothing like it has ended yet" in status_of(tmp_path)
    done(tmp_path, 7200.0, **cell("tapweight", 0))  # the nearest there is
    done(tmp_path, 3600.0, **CELLS[5])
    # Two have half an hour to go, three an hour: four hours for two at a time.
    assert ", in 2.0 h (5 cells left, 2 at a time now)" in status_of(tmp_path)
    for one in CELLS:
        done(tmp_path, 3600.0, **one)
    assert "estimated finish" not in status_of(tmp_path)


def test_the_end_of_a_run_without_slurm(tmp_path: Path) -> None:
    plan(tmp_path, CELLS)
    done(tmp_path, 3640.0, **CELLS[0])
    assert "estimated finish" not in status_of(tmp_path)  # nothing runs
    progress(tmp_path, "cp-1", what="cp demo:rings seed 1, finetune")
    assert ", in 5.0 h (5 cells left, 1 at a time now)" in status_of(tmp_path)


def test_every_file_may_be_missing_empty_or_cut(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    whole = status_of(out)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) >= 12
    for path in files:
        content, times = path.read_bytes(), (path.stat().st_mtime, path.stat().st_mtime)
        for damage in (None, b"", content[: len(content) // 2], b"[]", b'{"jobs": [{}]}', b"null"):
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage)
                os.utime(path, times)
            assert " of 6 cells in " in status_of(out), (path, damage)
        path.write_bytes(content)
        os.utime(path, times)
    assert status_of(out).splitlines()[:8] == whole.splitlines()[:8]
    for name in ("progress", "claims", "outcomes", "failures", "plan.json"):
        (out / name).rename(tmp_path / name)
        assert " of 6 cells in " in status_of(out)


def test_what_only_reads_never_loads_torch(tmp_path: Path, fake: FakeSlurm) -> None:
    out = tmp_path / "run"
    under_way(out, fake)
    fake.write("queue", "")
    code = """
import json, sys
from bench.commands import cancel, clean, logs, status
from pathlib import Path
out = Path(sys.argv[1])
status.status_of(out), logs.logs_of(out, "cp/demo:rings/1", 5), cancel.cancel(out), clean.free
print(json.dumps([name for name in ("torch", "submitit", "pandas") if name in sys.modules]))
"""
    result = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == []
