"""The loop of an array task: claim jobs, hand them to workers, note how they end, until nothing is left or it stops."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from slurm import claims, outcomes
from slurm.claims import Claim, Claims
from slurm.crew import Crew
from slurm.executor import Job, Outcome, named
from slurm.outcomes import Ended
from slurm.worker import tail

MAX_DEATHS = 3
STOP_SECONDS = 60.0  # for one step and a checkpoint, between asking jobs to stop and killing them
LOOK_AGAIN_SECONDS = 5.0  # between looks at jobs that others hold
HOOK_SECONDS = 60.0  # for noting a failure


class Shift:
    """Runs jobs of ``jobs`` that have not ended in ``submission``, ``pack`` at a time with ``threads`` threads each.

    A job whose process dies is tried again until it has died ``MAX_DEATHS`` times, on any machine; then
    :attr:`Job.on_failure` is told. A job that raises is not tried again. ``payload["deaths"]`` tells a job
    how often its process died here before, while this array task lived: perhaps for want of memory.

    Parameters
    ----------
    out: the run folder, with ``claims/``, ``outcomes/`` and ``logs/``.
    owner: see :class:`slurm.claims.Claims`.
    wait: whether to stay until jobs that others hold have ended, rather than while nobody seems to run them.
    """

    def __init__(
        self, out: Path, submission: str, jobs: Sequence[Job], pack: int, threads: int, owner: str, wait: bool
    ) -> None:
        self.out, self.submission, self.pack, self.threads, self.wait = out, submission, pack, threads, wait
        self.logs = out / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.claims = Claims(out / "claims", owner)
        self.interrupted = False  # a job was asked to stop, by us or by somebody else
        self._jobs = {job.id: job for job in jobs}
        self._left = deque(self._jobs)  # not known to have ended, and not here
        self._crew = Crew(threads, self.logs)
        self._held: dict[str, Claim] = {}
        self._again: list[Claim] = []
        self._deaths: Counter[str] = Counter()  # of processes here: what a lost node ends says nothing of memory
        self._asked = False
        self._told: float | None = None  # when the workers were asked
        self._looked = self._beaten = float("-inf")

    def ask_to_stop(self) -> None:
        """Stop as soon as all jobs have saved their state. May be called by a signal handler at any moment."""
        self._asked = True

    def failures(self) -> list[str]:
        """Return the title and the reason of each job that has not ended well."""
        found = [(job, outcomes.read(self.out, job.id)) for job in self._jobs.values()]
        return [f"{job.title}: {end.reason if end else 'not run'}" for job, end in found if not (end and end.ok)]

    def run(self) -> None:
        """Work until nothing is left to do here, or all have stopped.

        Raises
        ------
        OSError: if the run folder can no longer be written; the jobs are ended then.
        """
        try:
            while True:
                self._beat()
                if self._asked:
                    self._tell()
                else:
                    self._hire()
                if not self._crew.busy and (self._asked or self._may_leave()):
                    return
                for outcome in self._crew.wait():
                    self._settle(outcome)
                if self._told is not None and time.monotonic() - self._told > STOP_SECONDS:
                    return
        finally:
            self._crew.end()
            for claim in self._held.values():
                with suppress(OSError):
                    self.claims.release(claim)

    def _beat(self) -> None:
        if time.monotonic() - self._beaten < claims.BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        for name, claim in list(self._held.items()):
            try:
                lost = not self.claims.beat(claim)
            except OSError as error:  # the file system may be back for the next one
                _say(f"no heartbeat for {name}: {error}")
                continue
            if lost:
                _say(f"lost {self._jobs[name].title}: after a long silence another array task took it over")
                del self._held[name]
                self._again = [each for each in self._again if each.name != name]
                for worker in self._crew.busy:
                    if worker.job and worker.job.id == name:
                        worker.interrupt()

    def _tell(self) -> None:
        """Ask all workers to stop, once."""
        if self._told is not None:
            return
        self._told = time.monotonic()
        self.interrupted = True
        _say("asked to stop: the jobs save their state")
        for worker in self._crew.busy:
            worker.interrupt()
        for claim in self._held.values():  # second, since it takes time: killed before, it would count as a death
            self.claims.stopping(claim)

    def _hire(self) -> None:
        while len(self._crew.busy) < self.pack and (claim := self._next()):
            job = self._jobs[claim.name]
            self._held[claim.name] = claim
            if claim.deaths >= MAX_DEATHS:
                reason = f"the array task that ran it was killed {claim.deaths} times"
                self._give_up(Outcome(job, False, reason, tail(self.logs / f"{job.id}.log"), died=True))
                continue
            _say(f"start  {job.title}" + (f" (died {claim.deaths} times before)" if claim.deaths else ""))
            self._crew.idle().start(replace(job, payload={**job.payload, "deaths": self._deaths[job.id]}), self.threads)

    def _next(self) -> Claim | None:
        """Return the claim on a job that is to run now; jobs that others hold go to the end of the row."""
        if self._again:
            return self._again.pop()
        if time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
            return None
        for _ in range(len(self._left)):
            name = self._left.popleft()
            if self._has_ended(name):
                continue
            claim = self.claims.take(name)
            if claim is None:
                self._left.append(name)
            elif self._has_ended(name):  # between the two looks
                self.claims.end(claim)
            else:
                return claim
        self._looked = time.monotonic()
        return None

    def _has_ended(self, name: str) -> bool:
        end = outcomes.read(self.out, name)
        return end is not None and end.submission == self.submission

    def _may_leave(self) -> bool:
        if self._again or (self.wait and self._left):
            return False
        return all(self.claims.lives_elsewhere(name) for name in self._left)

    def _settle(self, outcome: Outcome) -> None:
        job = outcome.job
        claim = self._held.get(job.id)
        if claim is None:  # it was lost, and is another's to tell of
            self._left.append(job.id)
        elif outcome.interrupted or (outcome.died and self._asked):
            self.claims.release(self._held.pop(job.id))
            self.interrupted = self._asked = True  # a scheduler signals all processes, perhaps not this one first
        elif outcome.died:
            self.claims.died(claim)
            self._deaths[job.id] += 1
            _say(f"died   {job.title}: {outcome.reason}")
            if claim.deaths >= MAX_DEATHS:
                reason = f"died {claim.deaths} times, the last time: {outcome.reason}"
                self._give_up(replace(outcome, reason=reason))
            else:
                self._again.append(claim)
        else:
            self._note(outcome)

    def _give_up(self, outcome: Outcome) -> None:
        job = self._jobs[outcome.job.id]
        if job.on_failure:
            what = {"payload": dict(job.payload), "reason": outcome.reason, "output": outcome.traceback}
            hook = Job("on-failure", job.title, "slurm.shift:tell", {"function": job.on_failure, **what})
            crew, deadline = Crew(1, None), time.monotonic() + HOOK_SECONDS
            try:
                crew.idle().start(hook, 1)
                ended: list[Outcome] = []
                while not ended and time.monotonic() < deadline:
                    ended = crew.wait()
            finally:
                crew.end()
            if not (ended and ended[0].ok):
                _say(f"{job.on_failure} failed for {job.title}: {ended[0].reason if ended else 'no end'}")
        self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        job = outcome.job
        end = Ended(self.submission, outcome.ok, outcome.reason, outcome.traceback, outcome.seconds)
        outcomes.write(self.out, job.id, end)
        self.claims.end(self._held.pop(job.id))
        how = "done  " if outcome.ok else "failed"
        _say(f"{how} {job.title} ({outcome.seconds:.1f} s)" + (f": {outcome.reason}" if outcome.reason else ""))


def tell(payload: dict[str, Any]) -> None:
    """Tell a job's ``on_failure`` that it died: run in a process of its own, since that may import anything."""
    named(payload["function"])(payload["payload"], payload["reason"], payload["output"])


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
