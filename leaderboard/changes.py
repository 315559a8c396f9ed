"""What changed since an older report, of this version or of one before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import RequestError
from leaderboard.content import Report
from leaderboard.tables.markdown import bullets, escaped, table
from leaderboard.tables.table import Column, Table, TableCell, TableRow

ROUNDING = 1e-12  # relative: a mean that differs by less has not moved


class KeptSummary(BaseModel):
    """The scores of one row on one task."""

    model_config = ConfigDict(allow_inf_nan=False)

    mean: float
    n: int
    scores: list[float]
    seeds: list[int]
    identities: list[str]


class KeptEntry(BaseModel):
    """One row on one task."""

    row: str
    summary: KeptSummary | None
    mark: str | None = None


class KeptTask(BaseModel):
    """One task."""

    task: str
    metric: str
    split_checksum: str
    split_checksums: dict[int, str] = {}
    entries: list[KeptEntry]

    def splits(self) -> dict[int | None, str]:
        """The checksum of each split: by seed where the seed draws it, else of the one there is."""
        if not self.split_checksums:
            return {None: self.split_checksum}
        return dict(self.split_checksums.items())

    def scored(self) -> dict[str, KeptEntry]:
        """The rows that have a score, by name."""
        return {entry.row: entry for entry in self.entries if entry.summary}


class KeptLack(BaseModel):
    """Cells without a record."""

    seeds: list[int]


class KeptBoard(BaseModel):
    """One protocol."""

    protocol: str
    focus: str | None = None
    tasks: list[KeptTask]
    cells: int
    missing: list[KeptLack] = []
    failed: list[KeptLack] = []

    def counts(self) -> dict[str, int]:
        """Of cells."""
        lacking = {"missing": self.missing, "failed": self.failed}
        return {"asked for": self.cells} | {name: sum(len(one.seeds) for one in all_) for name, all_ in lacking.items()}


class KeptReport(BaseModel):
    """What a comparison needs of a report.json: fields that every version has."""

    boards: list[KeptBoard]


@dataclass(frozen=True)
class Moved:
    """A mean that is no longer what it was."""

    row: str
    task: str
    before: KeptSummary
    after: KeptSummary

    @property
    def records(self) -> str:
        """How far both means rest on the same records."""
        old, new = set(self.before.identities), set(self.after.identities)
        counts = {"kept": len(old & new), "new": len(new - old), "gone": len(old - new)}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


@dataclass
class BoardChanges:
    """What changed under one protocol."""

    protocol: str
    alarms: list[str] = field(default_factory=list)  # what no new run explains
    facts: list[str] = field(default_factory=list)
    seeds: dict[str, list[str]] = field(default_factory=dict)  # "METHOD: new seeds 5, 6" -> tasks
    moved: list[Moved] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)


@dataclass
class Changes:
    """What changed between two reports."""

    protocols: list[str]  # sentences on new and gone ones
    boards: list[BoardChanges]  # those with changes


def read(path: Path) -> KeptReport:
    """Read an older report.json, or that of a folder.

    Raises
    ------
    RequestError: if there is none, or it is damaged.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        return KeptReport.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        expected = "an older report.json or a folder that holds one"
        raise RequestError(f"--baseline: expected {expected}, got {path} ({error.strerror or error})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"--baseline: expected a whole report, got {file} ({where or 'content'}: {first['msg']})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"--baseline: expected a whole report, got {file} (no JSON)") from error


def kept(report: Report) -> KeptReport:
    """What a comparison needs of a report."""
    return KeptReport.model_validate(report.model_dump(include={"boards"}))


def since(before: KeptReport, after: KeptReport) -> Changes:
    """Compare a report with an older one, board by board."""
    old = {board.protocol: board for board in before.boards}
    new = {board.protocol: board for board in after.boards}
    both = [_board(old[name], new[name]) for name in new if name in old]
    return Changes(
        protocols=_come_and_gone("protocols", old, new),
        boards=[board for board in both if board.alarms or board.facts or board.moved or board.marks],
    )


def render(changes: Changes) -> str:
    """Return the changes as Markdown."""
    blocks = ["# Changes since the older report"]
    if not changes.protocols and not changes.boards:
        blocks.append("Nothing changed.")
    if changes.protocols:
        blocks.append(bullets(changes.protocols))
    for board in changes.boards:
        blocks.append(f"## Protocol {escaped(board.protocol)}")
        if board.alarms:
            blocks += ["**The same records or tasks say something else than before:**", bullets(board.alarms)]
        if board.facts:
            blocks.append(bullets(board.facts))
        if board.moved:
            blocks += ["### Means that moved", table(_means(board))]
        if board.marks:
            blocks += ["### Marks", bullets(board.marks)]
    return "\n\n".join(blocks) + "\n"


def _means(board: BoardChanges) -> Table:
    words, numbers = ("method", "task"), ("old mean", "new mean", "difference", "old n", "new n")
    columns = [
        *(Column(key=name, title=name, align="left") for name in words),
        *(Column(key=name, title=name) for name in numbers),
        Column(key="records", title="records", align="left"),
    ]
    rows = []
    for one in board.moved:
        old, new = one.before, one.after
        means = [f"{old.mean:.5g}", f"{new.mean:.5g}", f"{new.mean - old.mean:+.3g}"]
        texts = [one.row, one.task, *means, str(old.n), str(new.n), one.records]
        rows.append(TableRow(cells=[TableCell(text=text) for text in texts]))
    return Table(name="means-that-moved", title="Means that moved", columns=columns, rows=rows)


def _board(old: KeptBoard, new: KeptBoard) -> BoardChanges:
    found = BoardChanges(new.protocol)
    before, after = {task.task: task for task in old.tasks}, {task.task: task for task in new.tasks}
    found.facts += _come_and_gone("methods", _rows(old), _rows(new))
    found.facts += _come_and_gone("tasks", before, after)
    for name, count in new.counts().items():
        if count != old.counts()[name]:
            found.facts.append(f"cells {name}: {old.counts()[name]}, now {count}")
    if old.focus != new.focus:
        found.facts.append(f"focus method: {old.focus}, now {new.focus}; marks are against the focus, so not compared")
    for name in (name for name in after if name in before):
        _task(before[name], after[name], found, marks=old.focus == new.focus)
    found.facts += [f"{text} on {', '.join(tasks)}" for text, tasks in found.seeds.items()]
    return found


def _task(old: KeptTask, new: KeptTask, found: BoardChanges, marks: bool) -> None:
    splits = new.splits()
    for seed, checksum in old.splits().items():
        if splits.get(seed, checksum) != checksum:
            of_seed = "" if seed is None else f" of seed {seed}"
            found.alarms.append(f"{new.task}: split checksum{of_seed} {checksum[:16]}, now {splits[seed][:16]}")
    if old.metric != new.metric:
        found.alarms.append(f"{new.task}: metric {old.metric}, now {new.metric}; means are not compared")
        return
    before, after = old.scored(), new.scored()
    rows_before, rows_after = {entry.row for entry in old.entries}, {entry.row for entry in new.entries}
    for row in dict.fromkeys([*before, *after]):
        one, other = before.get(row), after.get(row)
        if one is None or other is None:
            if row in rows_before and row in rows_after:  # else the method is new or gone
                found.facts.append(f"{row} on {new.task}: {'gone' if other is None else 'new'}")
            continue
        assert one.summary
        assert other.summary
        found.alarms += _contradictions(f"{row} on {new.task}", one.summary, other.summary)
        for text in _seeds(row, one.summary, other.summary):
            found.seeds.setdefault(text, []).append(new.task)
        if not isclose(one.summary.mean, other.summary.mean, rel_tol=ROUNDING):
            found.moved.append(Moved(row, new.task, one.summary, other.summary))
        if marks and one.mark != other.mark:
            found.marks.append(f"{row} on {new.task}: {one.mark or 'no mark'}, now {other.mark or 'no mark'}")


def _contradictions(where: str, old: KeptSummary, new: KeptSummary) -> list[str]:
    """The records of one identity whose score is another now."""
    scores = dict(zip(old.identities, old.scores, strict=False))
    return [
        f"{where}: record {identity} scored {scores[identity]!r}, now {score!r}"
        for identity, score in zip(new.identities, new.scores, strict=False)
        if identity in scores and scores[identity] != score
    ]


def _seeds(row: str, old: KeptSummary, new: KeptSummary) -> list[str]:
    added, gone = sorted(set(new.seeds) - set(old.seeds)), sorted(set(old.seeds) - set(new.seeds))
    parts = [f"{word} seeds {', '.join(map(str, seeds))}" for word, seeds in (("new", added), ("gone", gone)) if seeds]
    return [f"{row}: {'; '.join(parts)}"] if parts else []


def _come_and_gone(what: str, old: Iterable[str], new: Iterable[str]) -> list[str]:
    before, after = list(old), list(new)
    added, gone = [one for one in after if one not in before], [one for one in before if one not in after]
    return [f"{word} {what}: {', '.join(names)}" for word, names in (("new", added), ("gone", gone)) if names]


def _rows(board: KeptBoard) -> Sequence[str]:
    return list(dict.fromkeys(row for task in board.tasks for row in task.scored()))
