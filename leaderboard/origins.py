"""Which code on which device a score comes from, and how to get it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.records import Record
from leaderboard.content import Run
from leaderboard.grid import Slot


@dataclass
class Origins:
    """The distinct origins of a board's records, in the order of first use."""

    found: list[dict[str, str]] = field(default_factory=list)

    def place(self, record: Record) -> int:
        """The index of the record's origin, which is added if it is new."""
        origin = _origin(record)
        if origin not in self.found:
            self.found.append(origin)
        return self.found.index(origin)

    def run(self, slot: Slot) -> Run:
        """What stands behind the score of a slot that has a record."""
        record = slot.record
        assert record
        return Run(
            identity=record.identity,
            seed=record.seed,
            file=slot.file,
            folder=slot.folder,
            score=record.score(),
            validation=record.scores[record.primary].get("val", {}).get(record.metric),
            chosen_step=record.chosen_step,
            micro_batches=record.micro_batches,
            seconds=sum(record.seconds.values()),
            finished=str(record.provenance.get("finished", "")),
            origin=self.place(record),
            command=record.command,
        )


def software(records: Iterable[Record]) -> dict[str, list[str]]:
    """The package versions, commits and devices that occur, so that a mixture shows."""
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for name, value in _origin(record).items():
            found[name].add(value)
    return {name: sorted(values) for name, values in sorted(found.items())}


def _origin(record: Record) -> dict[str, str]:
    provenance = record.provenance
    packages = provenance.get("packages", {})
    found = {name: str(version) for name, version in packages.items()} if isinstance(packages, dict) else {}
    if "commit" in provenance:
        changed = " with local changes" if provenance.get("dirty") else ""
        found["commit"] = f"{str(provenance['commit'])[:12]}{changed}"
    if "device" in provenance:
        found["device"] = str(provenance["device"])
    return dict(sorted(found.items()))
