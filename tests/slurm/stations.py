"""Groups of jobs that the tests' functions run, and stations to run them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slurm import outcomes
from slurm.executor import Job
from slurm.outcomes import Ended
from slurm.station import Station
from slurm.submission import Submission


def job(name: str, function: str = "note", on_failure: str = "", **payload: Any) -> Job:
    return Job(
        name,
        f"job {name}",
        f"tests.slurm.jobs:{function}",
        {"name": name, **payload},
        on_failure=f"tests.slurm.jobs:{on_failure}" if on_failure else "",
    )


def station(out: Path, jobs: Sequence[Job], pack: int = 2, needed: bool = False, submission: str = "s1") -> Station:
    """Write the group's file below ``out``, which is also the cache, and return its station."""
    out.mkdir(exist_ok=True)
    Submission(out, submission).save_jobs("g", jobs)
    return Station(out, submission, "g", pack, 1, {"BENCH_HOME": str(out), "HF_HUB_OFFLINE": "1"}, needed)


def ended(out: Path, name: str) -> Ended:
    """How a job ended, as it must have."""
    found = outcomes.read(out, name)
    assert found, name
    return found
