"""Run folders as a run on a machine or on a cluster leaves them, without running anything."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.files import write_json
from bench.records import Failure, Record, write
from slurm import outcomes
from slurm.executor import Job
from slurm.outcomes import Ended
from slurm.submission import Array, Content, GroupEntry, Submission

TASK = "demo:rings"


def cell(method: str, seed: int, identity: str = "", **more: Any) -> dict[str, Any]:
    return {
        "identity": identity or f"{method}-{seed}",
        "method": method,
        "task": TASK,
        "backbone": "resnet18",
        "seed": seed,
        "protocol": "smoke",
    } | more


def plan(out: Path, cells: Sequence[dict[str, Any]]) -> None:
    content = {"cells": cells, "methods": ["cp", "tapweight"], "tasks": [TASK], "seeds": [0, 1], "skipped": []}
    (out / "plan.json").write_text(json.dumps(content))


def done(out: Path, seconds: float = 0.0, **entry: Any) -> None:
    write(
        out,
        Record(
            **entry, split_checksum="s", metric="roc_auc", higher_is_better=True, marks=False,
            scores={"best": {"test": {"roc_auc": 0.5}}}, primary="best",
            chosen_step=1, seconds={"finetune": seconds}, shared_seconds={}, peak_memory_bytes=1,
            examples_per_second=1.0, settings={}, data={}, provenance={},
        ),
    )  # fmt: skip


def failed(out: Path, attempts: int, reason: str = "it broke", **entry: Any) -> None:
    write(out, Failure(**entry, split_checksum="s", reason=reason, traceback="t", attempts=attempts, finished="now"))


def progress(out: Path, name: str, age: float = 0.0, **more: Any) -> Path:
    """The progress file of a job that is at step 3 of 8 after 40 s, written ``age`` seconds ago."""
    now = time.time() - age
    content = {"what": f"{name}, finetune", "step": 3, "steps": 8, "since": now - 40, "updated": now} | more
    path = out / "progress" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    os.utime(path, (now, now))
    return path


def claim(out: Path, job: str, owner: str, beat: float = 0.0, since: float = 60.0, turn: int = 0, **more: Any) -> Path:
    """A claim that was taken ``since`` seconds ago, with the last heartbeat ``beat`` seconds ago."""
    now = time.time()
    content = {
        "owner": owner, "host": "n1", "process": "", "deaths": 0, "state": "held",
        "since": datetime.fromtimestamp(now - since, UTC).isoformat(timespec="seconds"),
    } | more  # fmt: skip
    path = out / "claims" / f"{job}.{turn}.json"
    write_json(path, content)
    os.utime(path, (now - beat, now - beat))
    return path


def ended(out: Path, submission: Submission, job: str, reason: str = "", seconds: float = 100.0) -> None:
    outcomes.write(out, job, Ended(submission.id, not reason, reason, "its last lines" if reason else "", seconds))


def log(submission: Submission, task: str, *lines: str) -> Path:
    """What an array task printed."""
    path = submission.submitit / f"{task}_0_log.out"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def jobs(cells: Sequence[dict[str, Any]], *needs: str) -> list[Job]:
    """The jobs of cells."""
    return [
        Job(
            f"cell-{one['identity']}",
            f"{one['method']} {one['task']} seed {one['seed']}",
            "bench.cell:run_cell",
            {
                "cell": {key: one[key] for key in ("method", "task", "backbone", "seed")},
                "identity": one["identity"],
                "protocol": {"name": one["protocol"]},
            },
            needs=needs,
        )
        for one in cells
    ]


def shared(name: str, *needs: str) -> Job:
    """The job of a shared stage."""
    stage = name.partition("-")[0]
    return Job(name, f"{stage} (shared, seed 0)", "bench.cell:run_shared", {}, needs=needs, kind=f"shared-{stage}")


def submit(out: Path, groups: dict[str, list[Job]], first: int = 10, name: str = "s1") -> Submission:
    """The files of a submission with one array of two tasks for each group, numbered from ``first`` on."""
    submission = Submission(out, name)
    for group, members in groups.items():
        submission.save_jobs(group, members)
    submission.save(
        Content(
            id=name,
            created="2026-11-21T10:30:00+00:00",
            profile={},
            arrays=[Array(job_id=str(n), group=group, tasks=2, pack=1) for n, group in enumerate(groups, first)],
            groups={group: GroupEntry(after=[], jobs=[job.id for job in members]) for group, members in groups.items()},
        )
    )
    return submission


def queued(submission: Submission, *tasks: tuple[str, str, str]) -> str:
    """What squeue says of tasks such as ("10_0", "cell", "RUNNING") or ("10_1", "cell", "PENDING Resources")."""
    lines = []
    for task, group, state in tasks:
        array, _, number = task.partition("_")
        name, _, reason = state.partition(" ")
        lines.append(f"{array}|{number or 'N/A'}|{name}|{submission.job_name(group)}|{reason or 'None'}\n")
    return "".join(lines)
