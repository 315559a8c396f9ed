"""What a task and a suite are: entries of data, read from YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Metric = Literal["roc_auc", "rmse", "mae"]


class TaskInfo(BaseModel):
    """One labelled data set. Everything a reader of a leaderboard must know about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    name: str
    title: str
    inputs: Literal["molecule"] = "molecule"
    kind: Literal["classification", "regression"]
    metric: Metric
    units: str = ""  # of the targets; empty for classes
    file: str  # path below the mirror, or "demo:NAME" for data that is computed
    sha256: str = ""  # of the uncompressed content
    smiles: str = "smiles"  # column
    targets: tuple[str, ...]  # columns
    duplicates: Literal["keep", "first"] = "keep"  # rows that repeat a SMILES string
    rows: int  # usable rows that the file gives
    paper_rows: int | None = None
    note: str = ""  # where the rows differ from the paper's, and why
    split: Literal["scaffold"] = "scaffold"
    url: str = ""  # public address, tried after the mirror
    source: str = ""
    licence: str = ""
    citation: str = ""

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

    name: str
    title: str
    corpus: Literal["files", "demo"]
    planted_classes: int = 0  # > 0 adds one objective whose labels are drawn at random
    tasks: tuple[TaskInfo, ...]
