"""When a run will be through, from what is left, what such cells took, and how many run at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean

from bench.commands.running import Running, clock, duration
from bench.commands.watching import View
from bench.past import Past

Pair = tuple[str, str]  # method, task


def estimate(view: View, past: Past, waiting: Sequence[Pair], going: Sequence[tuple[Pair, Running]]) -> str:
    """Return a line with the time, or with what nothing tells; "" if nothing is left.

    Parameters
    ----------
    waiting: cells that will run.
    going: cells that run.
    """
    shared = [job_id for job_id in view.shared if view.state(job_id) in ("running", "queued")]
    if not (waiting or going or shared):
        return ""
    if waiting and not going:
        return _none("no cell runs now, so nothing tells how many will at once")
    spent = [time.time() - one.since for _, one in going]
    seconds = [past.seconds(*pair) for pair in [*(pair for pair, _ in going), *waiting]]
    seconds += [_shared_seconds(view, job_id) for job_id in shared]
    spent += [0.0] * (len(seconds) - len(spent))
    left = [max(0.0, each - gone) for each, gone in zip(seconds, spent, strict=True) if each is not None]
    if len(left) < len(seconds):
        return _none("nothing like it has ended yet, so nothing tells how long the rest takes")
    at_once = max(1, len(going))
    more = max(max(left), sum(left) / at_once)
    cells = f"{len(waiting) + len(going)} cells left, {len(going)} at a time now"
    return f"estimated finish: {clock(time.time() + more)}, in {duration(more)} ({cells})"


def _shared_seconds(view: View, job_id: str) -> float | None:
    """Return what a shared stage took before, or others of its kind did here."""
    job = view.jobs.get(job_id)
    if job is None or job.seconds is not None:
        return job.seconds if job else None
    alike = [other for other in view.shared if other in view.jobs and view.jobs[other].kind == job.kind]
    took = [end.seconds for other in alike if (end := view.end(other)) and end.ok]
    return fmean(took) if took else None


def _none(why: str) -> str:
    return f"estimated finish: none ({why})"
