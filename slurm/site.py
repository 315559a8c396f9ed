"""Asking Slurm itself: what it allows, what is in its queue. Nothing here needs accounting."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bench.errors import RequestError

PATIENCE_SECONDS = 60.0  # for an answer of Slurm
MANY = 400  # names or ids in one command
# What a job that starts another would hand on: sbatch and srun read it as options of the new job.
OF_A_JOB = ("SLURM_", "SLURMD_", "SBATCH_", "SRUN_", "SQUEUE_", "SCANCEL_", "SCONTROL_", "SUBMITIT_", "PMI_", "PMIX_")
OF_A_PROCESS = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
                "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # fmt: skip
KEPT = ("SLURM_CONF",)  # where the cluster is


@dataclass(frozen=True)
class QueuedTask:
    """One task of an array that waits or runs."""

    array: str  # the job id of the array
    task: str  # its number there, "" for a job that is no array
    name: str
    state: str  # as Slurm names it: PENDING, RUNNING, ...
    reason: str  # why it waits


@contextmanager
def clean_environment() -> Iterator[None]:
    """Hide what belongs to the job or the process that this one runs in, for as long as the context lasts."""
    hidden = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name not in KEPT and (name.startswith(OF_A_JOB) or name in OF_A_PROCESS)
    }
    try:
        yield
    finally:
        os.environ.update(hidden)


def require() -> None:
    """Raise RequestError unless this machine can submit to a Slurm that answers."""
    missing = [name for name in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(name) is None]
    if missing:
        raise RequestError(
            f"--slurm: expected Slurm's commands on PATH, found no {', '.join(missing)}; start it on a login node of "
            "the cluster, or leave --slurm out to run here"
        )
    _configuration()


def array_limit() -> int:
    """Return the most tasks that one array may have; raises RequestError if Slurm does not answer."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _configuration(), re.MULTILINE)
    return int(found[1]) if found else 1001  # Slurm's default


def check(script: str) -> None:
    """Let ``sbatch --test-only`` look at a script; raises RequestError with what it says against it."""
    done = _ask(["sbatch", "--test-only"], script)
    if done.returncode != 0:
        raise RequestError(f"--slurm: sbatch refuses the job before anything was submitted: {said(done.stderr)}")


def queue(names: Sequence[str]) -> list[QueuedTask] | None:
    """Return the tasks with these job names that wait or run; None where Slurm cannot say."""
    found = []
    for part in (names[start : start + MANY] for start in range(0, len(names), MANY)):
        try:
            done = _ask(["squeue", "--noheader", "--array", "--format=%F|%K|%T|%j|%r", f"--name={','.join(part)}"])
        except RequestError:
            return None
        if done.returncode != 0:
            return None
        for line in done.stdout.splitlines():
            array, task, state, name, reason = line.strip().split("|", 4)
            found.append(QueuedTask(array, task if task.isdigit() else "", name, state, reason))
    return found


def cancel(arrays: Sequence[str]) -> None:
    """Cancel arrays by job id; one that has ended already is no error. Raises RequestError if Slurm refuses."""
    for part in (arrays[start : start + MANY] for start in range(0, len(arrays), MANY)):
        done = _ask(["scancel", *part])
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            raise RequestError(f"cancel: scancel failed: {said(done.stderr)}")


def said(stderr: str) -> str:
    """Return what a command of Slurm complained of, as one line without its prefixes."""
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line).strip() for line in stderr.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or "no reason given"


def _configuration() -> str:
    done = _ask(["scontrol", "show", "config"])
    if done.returncode != 0:
        raise RequestError(f"--slurm: expected a Slurm that answers, but scontrol says: {said(done.stderr)}")
    return done.stdout


def _ask(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        with clean_environment():
            return subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except FileNotFoundError as error:
        raise RequestError(f"--slurm: expected Slurm's commands on PATH, found no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise RequestError(f"--slurm: {command[0]} did not answer for {PATIENCE_SECONDS:.0f} s") from error
