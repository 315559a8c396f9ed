"""Freeing disk space: what a rerun can make again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from bench.commands.folders import check_run
from bench.commands.watching import View
from bench.errors import RequestError
from bench.files import home
from bench.records import scan
from slurm import outcomes
from slurm.claims import Claims
from slurm.submission import Submission, launching


def free(out: Path | None, artifacts: bool) -> str:
    """Delete what finished attempts left in a run folder, artifacts of shared stages, or both; say the bytes.

    Raises
    ------
    RequestError: if nothing was named, the folder is none of a run, a run or a submission of it is alive, or a
        shared stage is being trained whose artifact would go.
    """
    if out is None and not artifacts:
        raise RequestError("clean: expected --out FOLDER, --artifacts or both, got neither")
    # Its subfolders have plain names: in any other folder they would be somebody's own.
    if out is not None:
        check_run(out)
    freed = 0
    with launching(out) if out and Submission.all(out) else nullcontext():
        doomed = list(_left_behind(out)) if out else []
        doomed += [_artifacts()] if artifacts else []
        for path in doomed:
            files = [path] if path.is_file() else path.rglob("*")
            freed += sum(file.stat().st_size for file in files if file.is_file())
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return f"freed {freed:,} bytes"


def _artifacts() -> Path:
    """Return the folder of artifacts once nobody trains one; raises RequestError if somebody does."""
    folder = home() / "claims"
    for name, holder in Claims(folder, "").living().items() if folder.is_dir() else ():
        raise RequestError(
            f"--artifacts: {name} is being trained by {holder.owner or 'somebody'} on {holder.host or 'some machine'}; "
            "stop that run or wait"
        )
    return home() / "artifacts"


def _left_behind(out: Path) -> Iterator[Path]:
    """Yield what nothing needs once no job of the folder is alive; raises RequestError if one is."""
    view = View.of(out)
    for submission, tasks in view.alive():
        raise RequestError(
            f"--out: submission {submission.id} has {len(tasks)} array tasks in the queue; wait, or end it: "
            f"python -m bench cancel --out {out}"
        )
    for job_id, one in view.running.items():
        what = one.progress.what if one.progress else view.title(job_id)
        raise RequestError(f"--out: a run is alive in {out} ({what}); stop it or wait")
    found = scan(out)
    over = {f"cell-{cell.identity}" for cell in [*found.records, *found.failures]}
    if view.queue is None and any(job_id not in over and not view.end(job_id) for job_id in view.submitted):
        raise RequestError(
            f"--out: not all jobs that were submitted from {out} have ended, and squeue does not say here whether they "
            "wait in the queue; start it on a login node of the cluster"
        )
    yield from (out / name for name in ("checkpoints", "progress", "logs", "claims"))
    yield from (submission.submitit for submission in view.contents)
    # Of a cell its record or failure tells more; of a shared stage, and of one that could not note why, nothing else.
    yield from (out / outcomes.FOLDER / f"{job_id}.json" for job_id in over)
