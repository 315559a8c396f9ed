"""Taking the submissions of a run folder out of Slurm's queue."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from bench.commands.folders import check_run
from bench.commands.watching import View
from bench.errors import RequestError, nearest
from slurm import site
from slurm.submission import FOLDER, launching

PATIENCE_SECONDS = 60.0  # Slurm gives a task half a minute or so to save its state
LOOK_SECONDS = 1.0


def cancel(out: Path, wanted: str | None = None) -> str:
    """Cancel what submissions of a folder still have in the queue, all of them or one; return what was done.

    Only arrays that the queue shows under a name of such a submission are cancelled: a number alone may be
    somebody's newer job by now. Returns once they have left the queue, or after a minute.

    Raises
    ------
    RequestError: if the folder is none of a run, has no such submission, a launcher submits from it at this moment,
        or Slurm cannot be asked or refuses.
    """
    check_run(out, FOLDER)
    view = View.of(out)
    if wanted is not None and wanted not in (known := [submission.id for submission in view.contents]):
        raise RequestError(f"--submission: {wanted!r} is not one of {out}; {nearest(wanted, known)}")
    with launching(out) if view.contents else nullcontext():
        view = View.of(out)
        if view.queue is None:
            raise RequestError(
                f"--out: squeue does not answer here, so what {out} has in the queue is unknown; start it on a login "
                "node of the cluster"
            )
        alive = [(submission, tasks) for submission, tasks in view.alive() if wanted in (None, submission.id)]
        site.cancel(list(dict.fromkeys(task.array for _, tasks in alive for task in tasks)))
        ending = _wait(list(dict.fromkeys(task.name for _, tasks in alive for task in tasks)))
    lines = []
    for submission, tasks in alive:
        waiting = sum(task.state == "PENDING" for task in tasks)
        lines.append(f"cancelled: {submission.id} ({len(tasks) - waiting} array tasks running, {waiting} waiting)")
    if not lines:
        lines.append("cancelled: nothing, no submission of this folder has anything in the queue")
    elif ending:
        lines.append(f"{ending} array tasks are still ending; wait until they have left the queue")
    else:
        lines.append("cells that ran keep their last checkpoint; the same `run` submits them again and goes on there")
    here = [one.progress.what for one in view.running.values() if one.holder is None and one.progress]
    if here:
        lines.append(f"left alone: a run without Slurm is alive in {out} ({here[0]}); end it with Ctrl-C where it runs")
    return "\n".join(lines)


def _wait(names: list[str]) -> int:
    """Wait until nothing of these names is in the queue; return how many tasks still are after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (queue := site.queue(names)) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return len(queue or ())
