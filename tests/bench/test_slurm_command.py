"""``run --slurm`` and ``slurm show``: what is submitted, what is not, and what is refused before anything is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.commands import run as command
from bench.records import scan
from slurm import outcomes
from slurm.outcomes import Ended
from slurm.profile import FOLDER
from slurm.submission import Submission, launching
from tests.bench.commandline import SMALL, Result, bench, refused, run
from tests.slurm.fake import FakeSlurm, option

TASKS = "analytic:isotropic"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench_home: Path) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def submit(out: Path, *arguments: str, methods: str = "finetune", seeds: str = "0-5") -> Result:
    return bench(
        "run", "--methods", methods, "--tasks", TASKS, "--seeds", seeds, "--protocol", "smoke", *SMALL,
        "--out", out, "--slurm", "dev", *arguments,
    )  # fmt: skip


def queued(out: Path, groups: Sequence[str] = ()) -> str:
    """What squeue says while all arrays of a run wait, or those of ``groups``."""
    lines = []
    for submission in Submission.all(out):
        for array in submission.content().arrays:
            if not groups or array.group in groups:
                lines.append(f"{array.job_id}|N/A|PENDING|{submission.job_name(array.group)}|Resources\n")
    return "".join(lines)


def test_a_run_is_submitted_and_the_launcher_is_done(fake: FakeSlurm, tmp_path: Path, bench_home: Path) -> None:
    out = tmp_path / "run"
    result = submit(out, "--set", "start.seed=77")
    assert result.code == 0, result.err
    (submission,) = Submission.all(out)
    assert result.out.splitlines() == [
        f"submitted: 1 shared stages and 6 cells as {submission.id}",
        "arrays: 100-101 (5 tasks in all)",
        f"watch: python -m bench status --out {out}",
        f"cancel: python -m bench cancel --out {out}",
    ]
    assert "cells: 6 = 0 done + 6 to run" in result.err
    cells, start = (submission.jobs(group) for group in submission.content().groups)
    assert [job.function for job in [*start, *cells]] == ["bench.cell:run_shared"] + 6 * ["bench.cell:run_cell"]
    assert {(job.payload["out"], job.payload["device"], job.on_failure) for job in cells} == {
        (str(out), "cpu", "bench.cell:record_death")
    }
    script = fake.scripts["101"]
    assert option(script, "dependency") == "afterok:100"
    for line in (f"BENCH_HOME={bench_home}", "HF_HUB_OFFLINE=1", "TRANSFORMERS_OFFLINE=1", "HF_DATASETS_OFFLINE=1"):
        assert f"export {line}" in script.splitlines()
    plan = json.loads((out / "plan.json").read_text())
    assert len(plan["cells"]) == 6
    assert not (out / "records").exists()


def test_again_only_what_is_missing_and_not_in_the_queue(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert submit(out, "--set", "start.seed=78").code == 0
    fake.write("queue", queued(out))
    again = submit(out, "--set", "start.seed=78")
    assert again.code == 0
    assert again.out.splitlines()[0] == "submitted: nothing, everything is in the queue"
    assert "in the queue already, by an earlier submission: 1 shared stages and 6 cells" in again.err
    more = submit(out, "--set", "start.seed=78", seeds="0-9")
    assert more.out.startswith("submitted: 0 shared stages and 4 cells as ")
    assert option(fake.scripts["102"], "dependency") == "afterok:100"  # the shared stage of the first
    assert len(fake.scripts) == 3
    first, second = Submission.all(out)
    assert not {*first.content().groups["cell"].jobs} & {*second.content().groups["cell"].jobs}
    # Nothing is left in the queue, and two cells say that they failed: all six and the stage are missing again.
    fake.write("queue", "")
    outcomes.write(out, first.content().groups["cell"].jobs[0], Ended(first.id, False, "r", "", 1.0))
    assert submit(out, "--set", "start.seed=78").out.startswith("submitted: 1 shared stages and 6 cells as ")


def test_a_cell_that_ends_while_the_launcher_plans_is_not_submitted_again(
    fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert submit(out).code == 0
    (submission,) = Submission.all(out)
    fake.write("queue", queued(out, ["cell"]))

    def planned(*arguments: object) -> object:
        for job in submission.content().groups["cell"].jobs:  # after the records were looked at
            outcomes.write(out, job, Ended(submission.id, True, "", "", 1.0))
        return original(*arguments)  # type: ignore[arg-type]

    original = command._planned
    monkeypatch.setattr(command, "_planned", planned)
    assert submit(out).out.startswith("submitted: nothing")


def test_when_all_is_done_the_leaderboard_is_printed(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(out, tasks=TASKS).code == 0
    assert len(scan(out).records) == 1
    result = submit(out, seeds="0")
    assert result.code == 0
    assert "# Leaderboard" in result.out
    assert fake.scripts == {}


def test_records_tell_time_and_memory_of_the_next(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(out, tasks=TASKS).code == 0
    result = submit(out, "--slurm-set", "memory_gb=8", seeds="1-40")
    assert result.code == 0, result.err
    (submission,) = Submission.all(out)
    ((name, entry),) = submission.content().groups.items()
    assert (name, len(entry.jobs)) == ("cell-small-1g", 40)
    (script,) = fake.scripts.values()
    assert option(script, "array") is None  # 40 cells of a moment are one task's work
    assert option(script, "mem") in ("2048M", "3072M")
    peak = max(record.peak_memory_bytes for record in scan(out).records)
    assert {job.memory_bytes for job in submission.jobs(name)} == {peak}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--jobs", "2"], ["--jobs", "with --slurm it is --pack"]),
        (["--device", "cuda"], ["--device", "profile dev, which asks for no GPU"]),
        (["--device", "gpu"], ["--device: 'gpu' is not known"]),
        (["--slurm", "a10"], ["--slurm: 'a10' is not known; did you mean a100?"]),
        (["--slurm-set", "time_minutes=0"], ["--slurm-set: time_minutes"]),
        (["--slurm-set", "time_minutes=2"], ["time_minutes: expected at least 3, got 2", "60 s early"]),
        (["--pack", "0"], ["--pack: expected a number of cells, or auto"]),
        (["--pack", "2"], ["--pack: expected at most one cell a CPU (cpus = 1), got 2"]),
        (["--slurm-set", "local_disks=[/]"], ["--out: expected a folder that all nodes share", "/ is another disk"]),
        (["--methods", "tapwieght"], ["did you mean tapweight"]),
    ],
)
def test_wrong_requests(fake: FakeSlurm, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    refused(submit(tmp_path / "run", *arguments), 2, *parts)
    assert fake.scripts == {}
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["--pack", "2"], ["--slurm-set", "cpus=2"]])
def test_options_that_need_slurm(tmp_path: Path, words: list[str]) -> None:
    refused(run(tmp_path / "run", *words), 2, words[0], "goes with --slurm PROFILE (known: a100, cpu, dev)")


def test_a_cache_on_a_disk_of_one_node(fake: FakeSlurm, tmp_path: Path, bench_home: Path) -> None:
    result = submit(tmp_path / "run", "--slurm-set", f"local_disks=[{bench_home}]")
    refused(result, 2, "BENCH_HOME: expected a folder that all nodes share", f"local_disks that {bench_home} is")


def test_a_folder_that_slurm_would_rename(fake: FakeSlurm, tmp_path: Path) -> None:
    refused(submit(tmp_path / "100%j"), 2, "--out: expected a path without %")


def test_no_slurm_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(submit(tmp_path / "run"), 2, "--slurm: expected Slurm's commands on PATH", "leave --slurm out to run here")
    assert not (tmp_path / "run").exists()


def test_slurm_does_not_answer(fake: FakeSlurm, tmp_path: Path) -> None:
    (fake.folder / "config").unlink()
    refused(submit(tmp_path / "run"), 2, "expected a Slurm that answers", "Unable to contact")
    assert not (tmp_path / "run").exists()


def test_what_sbatch_refuses_is_one_line_before_anything_is_submitted(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.write("refused", "sbatch: error: Invalid partition specified: gpus\n")
    out = tmp_path / "run"
    refused(submit(out), 2, "sbatch refuses the job before anything was submitted: Invalid partition specified: gpus")
    assert fake.scripts == {}
    assert Submission.all(out) == []


def test_a_second_launcher_is_refused(fake: FakeSlurm, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with launching(out):
        refused(submit(out), 2, f"--out: another launcher is submitting from {out} now")
    assert fake.scripts == {}
    assert submit(out).code == 0


def test_an_output_folder_that_cannot_be_written(fake: FakeSlurm, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(submit(tmp_path / "file" / "run"), 2, "--out: expected a folder that can be written")
    assert fake.scripts == {}


def test_show_needs_no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    changes = ["--slurm-set", "time_minutes=60", "--slurm-set", "extra.reservation=friday"]
    result = bench("slurm", "show", "a100", *changes)
    assert result.code == 0, result.err
    assert (option(result.out, "time"), option(result.out, "reservation")) == ("60", "friday")
    assert (option(result.out, "constraint"), option(result.out, "array")) == ("a100", "0-63%64")
    assert "# --slurm-set time_minutes: 1440 -> 60" in result.out
    assert "# --slurm-set extra.reservation: null -> friday" in result.out
    plain = bench("slurm", "show", "a100").out
    assert "--slurm-set" not in plain
    assert option(plain, "time") == "1440"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_profile_can_be_shown(name: str) -> None:
    result = bench("slurm", "show", name)
    assert result.code == 0, result.err
    assert result.out.startswith("#!/bin/bash\n")


def test_show_refuses_what_run_refuses() -> None:
    refused(bench("slurm", "show", "a10"), 2, "did you mean a100")
    refused(bench("slurm", "show", "a100", "--slurm-set", "tme=3"), 2, "--slurm-set: 'tme' is not known")
