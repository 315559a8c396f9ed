"""What a task and a suite are: entries of data, read from YAML."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Metric = Literal["roc_auc", "rmse", "mae"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]  # no colon or comma: they separate names in requests


class TaskInfo(BaseModel):
    """One labelled data set. Everything a reader of a leaderboard must know about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: Name
    name: Name
    title: str
    inputs: Literal["molecule", "vector"] = "molecule"
    kind: Literal["classification", "regression"]
    metric: Metric
    units: str = ""  # of the targets; empty for classes
    file: str  # path below the mirror, or "KIND:NAME" for data that is computed
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")  # of the uncompressed content, see tasks.sources
    smiles: str = "smiles"  # column
    targets: tuple[str, ...] = Field(min_length=1)  # columns
    duplicates: Literal["keep", "first"] = "keep"  # rows that repeat a SMILES string
    rows: int = Field(gt=0)  # usable rows that the file gives
    paper_rows: int | None = None
    note: str = ""  # where the rows differ from the paper's, and why
    split: Literal["scaffold", "fixed"] = "scaffold"
    url: str = ""  # public address, tried after the mirror
    source: str = ""
    licence: str = ""
    citation: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.metric == "roc_auc") != (self.kind == "classification"):
            raise ValueError(f"metric {self.metric} does not score {self.kind}")
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets name a column twice")
        return self

    @property
    def id(self) -> str:
        """``suite:name``: the name in requests, identities and records."""
        return f"{self.suite}:{self.name}"

    @property
    def outputs(self) -> int:
        """t, the number of targets."""
        return len(self.targets)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return self.metric == "roc_auc"


class SuiteInfo(BaseModel):
    """A named list of tasks that share one unlabelled corpus and one rule for keeping test inputs out of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    title: str
    corpus: Literal["files", "demo", "computed"]  # molecules of files, of the demo, or none: the backbone has its own
    planted_classes: int = Field(0, ge=0)  # > 0 adds one objective whose labels are drawn at random
    tasks: tuple[TaskInfo, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names) or any(task.suite != self.name for task in self.tasks):
            raise ValueError(f"tasks must have names of their own and the suite {self.name!r}")
        return self
