"""Clusters: submitting the jobs of a run, and showing what would be submitted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path

from bench import files
from bench import plan as planning
from bench.commands.prepare import say
from bench.errors import RequestError
from bench.plan import Plan
from bench.protocol import Protocol
from bench.records import Scan
from slurm import groups as grouping
from slurm import profile as profiles
from slurm import site
from slurm.executor import Job
from slurm.groups import Group
from slurm.launch import Launcher
from slurm.profile import Profile
from slurm.submission import Submission

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")  # compute nodes have no internet


@dataclass(frozen=True)
class Cluster:
    """Where the jobs of a run are sent: a profile, checked."""

    name: str
    profile: Profile

    @classmethod
    def parse(cls, name: str | None, assignments: Sequence[str], pack: str | None) -> Cluster | None:
        """Return the cluster of --slurm, --slurm-set and --pack, None without --slurm; raises RequestError."""
        if name is not None:
            return cls(name, profiles.load(name, assignments, pack))
        if assignments or pack is not None:
            option, instead = ("--pack", "; on this machine --jobs says how many") if pack else ("--slurm-set", "")
            raise RequestError(f"{option}: goes with --slurm PROFILE (known: {', '.join(profiles.names())}){instead}")
        return None

    def device(self, wished: str) -> str:
        """Return the device of the jobs; raises RequestError if the profile has no GPU for it."""
        if wished == "cuda" and not self.profile.gpus:
            raise RequestError(f"--device: expected cpu or auto with profile {self.name}, which asks for no GPU")
        return ("cuda" if self.profile.gpus else "cpu") if wished == "auto" else wished

    def check(self, out: Path, device: str, jobs: int | None) -> None:
        """Raise RequestError if this machine, the folders, --device or --jobs do not go with a cluster."""
        if jobs is not None:
            raise RequestError("--jobs: goes with a run on this machine; with --slurm it is --pack K")
        self.device(device)
        site.require()
        for what, folder in (("--out", out), ("BENCH_HOME", files.home())):
            for disk in self.profile.local_disks:
                if any(path.is_relative_to(disk) for path in (folder.absolute(), folder.resolve())):
                    raise RequestError(
                        f"{what}: expected a folder that all nodes share, got {folder.absolute()}; profile {self.name} "
                        f"says in local_disks that {disk} is another disk on each node"
                    )
            if set("%\\\n") & set(str(folder.absolute())):
                raise RequestError(f"{what}: expected a path without % and \\, which Slurm replaces, got {folder}")

    def submit(
        self, plan: Plan, rules: Protocol, out: Path, device: str, found: Scan, live: Mapping[str, Sequence[str]]
    ) -> None:
        """Submit what no earlier submission takes care of, and say what was done.

        ``found``: the folder's records. ``live``: see :func:`slurm.submission.covered`.

        Raises
        ------
        RequestError: if Slurm refuses a job.
        """
        jobs = planning.jobs(plan, rules, out.absolute(), self.device(device), found.records)
        waiting = [job for job in jobs if job.id in live]
        if waiting:
            say(f"in the queue already, by an earlier submission: {_counted(waiting)}")
        groups = grouping.make(jobs, self.profile, live)
        if groups:
            submission = Submission.new(out.absolute())
            content = Launcher(submission, self.profile, _environment()).submit(groups)
            tasks = sum(array.tasks for array in content.arrays)
            print(f"submitted: {_counted([job for group in groups for job in group.jobs])} as {submission.id}")
            print(f"arrays: {_ranges([int(array.job_id) for array in content.arrays])} ({tasks} tasks in all)")
        else:
            print("submitted: nothing, everything is in the queue")
        print(f"watch: python -m bench status --out {shlex.quote(str(out))}")
        print(f"cancel: python -m bench cancel --out {shlex.quote(str(out))}")


def show(name: str, assignments: Sequence[str]) -> str:
    """Return the sbatch file of one array of cells under a profile, and what --slurm-set changed in it.

    Raises
    ------
    RequestError: if there is no such profile, or a value does not fit.
    """
    profile = profiles.load(name, assignments)
    cells = [Job(f"cell-{number}", "a cell", "bench.cell:run_cell", {}, kind="cell") for number in range(9999)]
    (group,) = grouping.make(cells, profile, {})
    lines = [_script(profile, group).rstrip(), ""]
    lines.append(f"# The array of a group of many cells of unknown size, {group.pack} at a time in each task.")
    lines.append("# Where they need shared stages: --dependency=afterok:ARRAY, with --kill-on-invalid-dep=yes.")
    before = profiles.read(name)
    for key, value in profiles.assigned(assignments).items():
        section, _, option = key.partition(".")
        old = before.get(section, Profile.model_fields[section].default if section in Profile.model_fields else None)
        old = (old or {}).get(option) if option else old
        lines.append(f"# --slurm-set {key}: {_yaml(old)} -> {_yaml(value)}")
    return "\n".join(lines)


def _script(profile: Profile, group: Group) -> str:
    submission = Submission((Path("runs") / "PROTOCOL").absolute(), "ID")
    limit = profile.max_array_size or group.tasks
    return Launcher(submission, profile, _environment()).script(group, min(limit, group.tasks))


def _environment() -> dict[str, str]:
    """What the jobs find in their environment before they load anything: where the data is, and no network."""
    return {"BENCH_HOME": str(files.home().absolute())} | dict.fromkeys(OFFLINE, "1")


def _counted(jobs: Sequence[Job]) -> str:
    cells = sum(job.id.startswith("cell-") for job in jobs)
    shared = len(jobs) - cells
    return f"{shared} shared stages and {cells} cells"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ``3-5, 9`` of 3, 4, 5, 9."""
    runs, counter = [], count()
    for _, run in groupby(sorted(numbers), lambda number: number - next(counter)):
        found = list(run)
        runs.append(str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}")
    return ", ".join(runs)


def _yaml(value: object) -> str:
    return "null" if value is None else str(value)
