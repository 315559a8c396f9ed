"""Which shared artifacts the cells of one row used on several tasks, so that each is paid for once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from leaderboard.content import Cost


@dataclass
class Artifact:
    """A shared stage on one backbone: of each seed its own, or one for all."""

    stage: str
    backbone: str
    seconds: list[float] = field(default_factory=list)  # of each task that uses it, means over seeds
    places: set[int] = field(default_factory=set)  # of these tasks
    taken: set[str] = field(default_factory=set)  # seconds of the runs, to six digits

    @property
    def mean(self) -> float:
        """Seconds, mean over seeds and tasks."""
        return fmean(self.seconds)


def artifacts(costs: Sequence[Cost | None], bases: Sequence[Cost | None] = ()) -> list[Artifact]:
    """Tell apart what a row used on T tasks, without the stages that the ``bases`` of the tasks have too.

    Records name a stage and the seconds that it took, which they copy from the artifact. So tasks whose runs of one
    stage on one backbone have seconds in common, to six digits, are assumed to have used one artifact (or, of each
    seed, one), and others another.
    """
    found: list[Artifact] = []
    for place, cost in enumerate(costs):
        base = bases[place] if bases else None
        for stage, seconds in cost.shared_seconds.items() if cost else ():
            if cost is None or (base and stage in base.shared_seconds):
                continue
            taken = {f"{value:.6g}" for value in cost.shared_runs.get(stage, [seconds])}
            own = Artifact(stage, cost.backbone, [seconds], {place}, taken)
            for other in [one for one in found if _same(one, own)]:
                own.seconds = other.seconds + own.seconds
                own.places |= other.places
                own.taken |= other.taken
                found.remove(other)
            found.append(own)
    return found


def _same(one: Artifact, other: Artifact) -> bool:
    return (one.stage, one.backbone) == (other.stage, other.backbone) and bool(one.taken & other.taken)
