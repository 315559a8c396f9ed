"""What determines a problem, known without loading it: planning needs no torch and no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.info import TaskInfo


@dataclass(frozen=True)
class ProblemSpec:
    """Everything that determines a problem's losses and scores. All mappings hold JSON values only."""

    task: TaskInfo
    split_checksum: str  # of the index lists of the three parts
    labels: Mapping[str, Any]  # content checksum of the table and how labels enter the losses
    backbone: str
    encoder: Mapping[str, Any]  # architecture and input rendering
    corpus: Mapping[str, Any]  # unlabelled examples, their labels, the views made of them
    objectives: tuple[str, ...]
    seed: int
    domain: Mapping[str, Any] = field(default_factory=dict)  # unlabelled examples of the task's domain, if it has any
    own: Mapping[str, Any] = field(default_factory=dict)  # views of the task's own inputs, where unlike the corpus's
