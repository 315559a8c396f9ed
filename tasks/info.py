"""What a task and a suite are: entries of data, read from YAML."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Metric = Literal[
    "roc_auc", "rmse", "mae", "accuracy", "macro_f1", "micro_f1", "matthews", "pearson", "spearman", "pearson_spearman"
]
SCORED_BY = {
    "classification": {"roc_auc"},
    "classes": {"accuracy", "macro_f1", "micro_f1", "matthews"},
    "regression": {"rmse", "mae", "pearson", "spearman", "pearson_spearman"},
}
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]  # no colon or comma: they separate names in requests
Columns = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]


class RawFile(BaseModel):
    """A file as somebody publishes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str  # path below the mirror
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")  # of the uncompressed content, see tasks.sources
    url: str = ""  # public address, tried after the mirror; "ARCHIVE.zip#MEMBER" for a file in an archive


class Released(BaseModel):
    """How a file is made of published ones where it is not published itself, see :mod:`tasks.text.released`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["test texts taken out", "ids", "folders"]
    part: Literal["train", "dev", "test"] | None = None  # which of the files that are made in this way
    of: tuple[RawFile, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        files, parts = {"ids": (2, ("train", "dev")), "folders": (1, ("train", "test"))}.get(self.by, (1, (None,)))
        if len(self.of) != files or self.part not in parts:
            raise ValueError(
                f"by {self.by!r}: expected {files} of and part {' or '.join(map(str, parts))}, "
                f"got {len(self.of)} and {self.part}"
            )
        return self


class TextFile(RawFile):
    """One raw file of a text task, or of unlabelled text."""

    rows: int = Field(gt=0)  # usable rows (lines of unlabelled text) that it gives
    header: tuple[str, ...] = ()  # where it differs from that of the task's other files
    first: Columns = ()  # likewise
    made: Released | None = None  # what it is made of where it is nowhere to be had


class TextData(BaseModel):
    """Where the texts of a task stand, and what their labels are called."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["tsv", "csv", "jsonl"]  # tsv: no quoting at all, as GLUE's files; csv: quoted
    header: tuple[str, ...] = ()  # the columns of a file that does not name them
    first: Annotated[Columns, Field(min_length=1)]  # column of the text, or of the first of a pair; several are joined
    second: str = ""  # column of the second of a pair
    label: str  # column
    classes: tuple[str, ...] = ()  # the labels as written, in the order of the outputs; none for values
    train: TextFile
    val: TextFile | None = None  # the official validation part, where split is "official"
    test: dict[Name, TextFile]  # parts that are pooled in the score and also scored one by one where there are several
    domain: TextFile | None = None  # unlabelled text of the domain, one a line, for DAPT
    subset: bool = False  # whether the training file holds only a part of the official rows

    @model_validator(mode="after")
    def _made_files_are_checked(self) -> Self:
        for file in (self.train, self.val, *self.test.values()):
            if not (file and file.made):
                continue
            if not file.sha256:
                raise ValueError("made: expected sha256 beside it, by which the file that is made is checked")
            known = all(raw.sha256 for raw in file.made.of) and self.format == "jsonl" and len(self.first) == 1
            if file.made.by == "test texts taken out" and not known:
                raise ValueError(f"made.by: {file.made.by!r} needs sha256 in of, format jsonl, one column in first")
        return self


class TaskInfo(BaseModel):
    """One labelled data set. Everything a reader of a leaderboard must know about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: Name
    name: Name
    title: str
    inputs: Literal["molecule", "vector", "text"] = "molecule"
    backbone: str = ""  # that reads it unless another is asked for; none: what each method prefers
    kind: Literal["classification", "classes", "regression"]  # t yes-or-no targets; one of K classes; t values
    metric: Metric
    units: str = ""  # of the targets; empty for classes
    file: str = ""  # path below the mirror, or "KIND:NAME" for data that is computed; of text see below
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")  # of the uncompressed content, see tasks.sources
    smiles: str = "smiles"  # column
    targets: tuple[str, ...] = ()  # columns; of values of text it is text.label
    duplicates: Literal["keep", "first"] = "keep"  # rows that repeat a SMILES string
    rows: int = Field(gt=0)  # usable rows that the file gives
    paper_rows: int | None = None
    note: str = ""  # where the rows differ from the paper's, and why
    split: Literal["scaffold", "fixed", "official", "seeded"] = "scaffold"  # seeded: train and val drawn by the seed
    text: TextData | None = None  # of tasks whose inputs are text
    url: str = ""  # public address, tried after the mirror
    source: str = ""
    licence: str = ""
    citation: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.metric not in SCORED_BY[self.kind]:
            fitting = ", ".join(sorted(SCORED_BY[self.kind]))
            raise ValueError(f"metric: expected {fitting} for kind {self.kind}, got {self.metric!r}")
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets: expected each column once, got {', '.join(self.targets)}")
        if (self.inputs == "text") != (self.text is not None):
            raise ValueError("a task whose inputs are text needs the section text, and no other task has it")
        if self.text is None and not (self.file and self.targets):
            raise ValueError("a task needs file and targets, or inputs: text and the section text")
        if self.text and (self.kind == "classes") != bool(self.text.classes):
            raise ValueError("text.classes: expected labels for kind classes, and none otherwise")
        if self.text and self.text.classes and not 1 < len(set(self.text.classes)) == len(self.text.classes):
            raise ValueError("text.classes: expected two labels or more, each once")
        if self.text and (
            self.split not in ("official", "seeded") or (self.split == "official") != bool(self.text.val)
        ):
            raise ValueError("split: expected official with text.val, or seeded without")
        if self.text and self.text.domain and not self.text.domain.sha256:
            raise ValueError("text.domain: expected sha256, by which results know the text that they were trained on")
        if self.text and self.kind == "regression" and not self.targets:
            object.__setattr__(self, "targets", (self.text.label,))  # the name of the value, once said
        return self

    def __hash__(self) -> int:
        return hash(self.id)  # the names of a text task's test files are a dict, which has no hash

    @property
    def id(self) -> str:
        """``suite:name``: the name in requests, identities and records."""
        return f"{self.suite}:{self.name}"

    @property
    def outputs(self) -> int:
        """Outputs of the head: t targets, or one for each of the K classes."""
        if self.text:
            return len(self.text.classes) or 1
        return len(self.targets)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return self.metric not in ("rmse", "mae")

    @property
    def paired(self) -> bool:
        """Whether the seed draws the split too, so that scores are compared in pairs by seed."""
        return self.split == "seeded"


class SuiteInfo(BaseModel):
    """A named list of tasks that share one unlabelled corpus and one rule for keeping test inputs out of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: str
    corpus: Literal["files", "demo", "computed"]  # of files, of the demo, or none: the backbone has its own
    planted_classes: int = Field(0, ge=0)  # > 0 adds one objective whose labels are drawn at random
    tasks: tuple[TaskInfo, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names) or any(task.suite != self.name for task in self.tasks):
            raise ValueError(f"tasks: expected names of their own and the suite {self.name!r}, got {', '.join(names)}")
        return self
