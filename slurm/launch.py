"""Handing the groups of a submission to Slurm through submitit."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bench.errors import RequestError
from slurm import site
from slurm.groups import Group, chunks
from slurm.profile import Profile
from slurm.submission import Array, Content, GroupEntry, Submission

if TYPE_CHECKING:
    from submitit.slurm.slurm import SlurmExecutor

# submitit takes a signal for a time-out once a task has run 80 % of its limit or all but ten minutes of it, so always
# where the limit is ten minutes or less, and gives a task up after this many. A task saves its state at each signal,
# so none of them is lost work, and a preemption taken for a time-out must not end a run. The number bounds a task
# that never gets beyond its start.
MOST_TIMEOUTS = 200
SAVE_SECONDS = 2.0  # between notes of what was submitted; arrays that a killed launcher did not note have their name
OTHER_GPU_OPTIONS = {"gres", "gpus", "gpus_per_task", "gpus_per_socket"}


@dataclass(frozen=True)
class Launcher:
    """Submits the groups of one submission as a profile says; ``environment`` is what the jobs find in theirs."""

    submission: Submission
    profile: Profile
    environment: Mapping[str, str]

    def submit(self, groups: Sequence[Group]) -> Content:
        """Check the scripts, then write the files of the submission and submit its groups in order.

        Whatever ends it on the way, ``submission.json`` tells of every array in the queue, and a later launcher
        submits the rest.

        Raises
        ------
        RequestError: if sbatch refuses a script, naming what was submitted before if anything was.
        """
        limit = self.profile.max_array_size or site.array_limit()
        self._check(groups, limit)
        content = Content(
            id=self.submission.id,
            created=datetime.now().astimezone().isoformat(timespec="seconds"),
            profile=self.profile.model_dump(mode="json"),
            arrays=[],
            groups={g.name: GroupEntry(after=list(g.after_arrays), jobs=[job.id for job in g.jobs]) for g in groups},
        )
        for group in groups:
            self.submission.save_jobs(group.name, group.jobs)
        self.submission.save(content)
        try:
            self._submit_all(groups, limit, content)
        finally:  # an interruption too
            self.submission.save(content)
        return content

    def script(self, group: Group, size: int, after: Sequence[str] = ()) -> str:
        """Return the sbatch file of an array of ``size`` tasks that waits for other arrays, as submitit writes it."""
        executor = self._executor(group, after)
        if size > 1:
            executor.parameters["map_count"] = size  # as submitit itself does for an array
        return executor._make_submission_file_text(executor._submitit_command_str, "")

    def parameters(self, group: Group, after: Sequence[str]) -> dict[str, Any]:
        """Return what submitit is told of the arrays of a group."""
        profile = self.profile
        extra = {key.replace("-", "_"): value for key, value in profile.extra.items() if value is not False}
        own: dict[str, Any] = {"requeue": True}  # whatever the site's default: an interrupted or lost task goes on
        if after:
            own |= {"dependency": f"afterok:{':'.join(after)}"}
            own |= {"kill_on_invalid_dep": "yes"}  # else it waits for ever once one of them failed
        setup = [
            *profile.setup,
            # From Slurm 22.05 on, srun does not take over the --cpus-per-task of sbatch.
            f"export SRUN_CPUS_PER_TASK={profile.cpus}",
            *(f"export {key}={shlex.quote(value)}" for key, value in self.environment.items()),
        ]
        return {
            "job_name": self.submission.job_name(group.name),
            "partition": profile.partition,
            "account": profile.account,
            "qos": profile.qos,
            "constraint": profile.constraint,
            "nodes": 1,
            "ntasks_per_node": 1,
            "cpus_per_task": profile.cpus,
            "gpus_per_node": profile.gpus if profile.gpus and not OTHER_GPU_OPTIONS & extra.keys() else None,
            "mem": f"{math.ceil(group.memory_gb * 1024)}M",
            "time": group.minutes,
            "signal_delay_s": profile.signal_seconds,
            "array_parallelism": profile.workers,
            "wckey": profile.wckey or None,
            "stderr_to_stdout": True,
            "setup": setup,
            "srun_args": list(profile.srun_args),
            "additional_parameters": own | extra,
        }

    def _check(self, groups: Sequence[Group], limit: int) -> None:
        """Let sbatch look at one array of each shape before anything is written or submitted."""
        seen: set[str] = set()
        for group in groups:
            text = self.script(group, min(limit, group.tasks), group.after_arrays)
            shape = text.replace(self.submission.job_name(group.name), "")
            if shape not in seen:
                seen.add(shape)
                site.check(text)

    def _submit_all(self, groups: Sequence[Group], limit: int, content: Content) -> None:
        """Submit the arrays of ``groups``, noting each in ``content``, which is saved from time to time."""
        saved = time.monotonic()
        for group in groups:
            entry = content.groups[group.name]
            entry.after += [array.job_id for array in content.arrays if array.group in group.after]
            for size in chunks(group.tasks, limit):
                try:
                    job_id = self._submit(group, size, entry.after)
                except RequestError as error:
                    before = ", ".join(array.job_id for array in content.arrays)
                    hint = f" (in the queue already: {before}; the same command submits the rest)" if before else ""
                    raise RequestError(f"{error}{hint}") from error
                content.arrays.append(Array(job_id=job_id, group=group.name, tasks=size, pack=group.pack))
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.submission.save(content)
                    saved = time.monotonic()

    def _submit(self, group: Group, size: int, after: Sequence[str]) -> str:
        """Submit one array; return its job id."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from slurm.station import Station

        # Of what is packed by number, not of how many are left: a later submission gives its cells as many.
        at_once = group.pack if group.needed or self.profile.pack == "auto" else self.profile.pack
        threads = max(1, self.profile.cpus // at_once)
        submission, environment = self.submission, dict(self.environment)
        station = Station(submission.out, submission.id, group.name, group.pack, threads, environment, group.needed)
        try:
            with site.clean_environment():
                jobs = self._executor(group, after).submit_array([station] * size)
        except (FailedJobError, FailedSubmissionError) as error:
            raise RequestError(f"--slurm: sbatch refuses {group.name}: {site.said(str(error))}") from error
        return str(jobs[0].job_id).partition("_")[0]

    def _executor(self, group: Group, after: Sequence[str]) -> SlurmExecutor:
        from submitit.slurm.slurm import SlurmExecutor

        class Writer(SlurmExecutor):
            """Writes scripts on machines without Slurm too; whether there is one, ``site.require`` asks."""

            @classmethod
            def affinity(cls) -> int:
                return 2

        # One for each array: an executor of submitit lets 0.2 s pass between two.
        executor = Writer(self.submission.submitit, max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(**self.parameters(group, after))
        return executor
