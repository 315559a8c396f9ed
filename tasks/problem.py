"""What a method may see of a task: losses, batches and validation scores; never test labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tasks.info import TaskInfo
from tasks.losses import pairwise_loss
from tasks.sealed import TestKey as TestKey  # re-exported with the interface that uses them
from tasks.sealed import TestSplitError as TestSplitError
from tasks.spec import ProblemSpec

Batch = Mapping[str, Tensor]
Source = Literal["corpus", "domain", "task", "train", "val", "val-null"]
Scores = dict[str, float]


@dataclass(frozen=True)
class BatchStream(ABC):
    """Endless batches of one source. Batch k is a function of (seed, purpose, k) alone, so nothing
    needs to be saved to resume, and two methods with one seed see the same batches."""

    batch_size: int

    @abstractmethod
    def __len__(self) -> int:
        """Examples in the source; an epoch has about ``len(stream) / batch_size`` batches."""

    @abstractmethod
    def batch(self, step: int) -> Batch:
        """Return batch number ``step``, complete with augmentations and views, on the problem's device."""


class Problem(ABC):
    """One task with one backbone, one protocol and one seed.

    Losses are functions of (modules, batch) alone: views, masks and dropout belong to the batch.

    Letters: b batch, n objectives, t targets, d width of the feature.
    """

    spec: ProblemSpec
    device: torch.device

    @property
    def task(self) -> TaskInfo:
        """Name, kind, metric, direction, number of targets."""
        return self.spec.task

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the n objectives, in weight order."""
        return self.spec.objectives

    @abstractmethod
    def encoder(self) -> nn.Module:
        """Return a fresh encoder, initialised from the seed; its parameters are the shared set B.

        It is called with positional arguments, and returns one tensor.
        """

    @abstractmethod
    def load_checkpoint(self, path: Path) -> nn.Module:
        """Return an encoder with weights that others trained.

        Raises
        ------
        RequestError: if the file cannot be read safely or does not fit the encoder.
        """

    def load_heads(self, path: Path) -> nn.ModuleDict:
        """Return the objectives' heads to go with :meth:`load_checkpoint`: fresh ones, unless the weights hold some.

        Raises
        ------
        RequestError: if those that it holds do not fit.
        """
        return self.objective_heads()

    @abstractmethod
    def objective_heads(self) -> nn.ModuleDict:
        """Return fresh heads of the objectives, initialised from the seed."""

    def slow_parts(self, heads: nn.ModuleDict) -> Mapping[nn.Module, float]:
        """Return the parts of the heads whose learning rate is a share of the encoder's, with that share."""
        return {}

    @abstractmethod
    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        """Return the n losses of an unlabelled batch, each a scalar, from as few encoder passes as possible.

        The objectives in ``idle`` are the constant 0, and encoder passes that only they need are left out.
        """

    def objective_losses(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> Tensor:
        """Return :meth:`objective_terms` as one tensor, shape (n,)."""
        return torch.stack(self.objective_terms(encoder, heads, batch, idle))

    @abstractmethod
    def downstream_head(self) -> nn.Module:
        """Return a fresh head d -> t, initialised from the seed."""

    @abstractmethod
    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        """Return what the downstream head reads of a labelled batch, shape (b, d)."""

    @abstractmethod
    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the scalar end-task loss of outputs (b, t): the mean over the labels that exist, 0 if none does."""

    def downstream_loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> Tensor:
        """Return the scalar end-task loss of a labelled batch."""
        return self.outputs_loss(head(self.features(encoder, batch)), batch)

    def pairwise_loss(self, encoder: nn.Module, head: nn.Module, batch: Batch) -> Tensor:
        """Return the pairwise logistic loss of a labelled batch: a surrogate of the AUC, blind to offsets."""
        return pairwise_loss(head(self.features(encoder, batch)), batch["labels"])

    @abstractmethod
    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        """Return the batches of ``source``.

        "corpus": unlabelled. "domain": unlabelled, of the task's domain; only where ``spec.domain`` names one.
        "task": the inputs of the training part, as unlabelled ones.
        "train": labelled, augmented. "val": labelled, not augmented.
        "val-null": as "val", its labels permuted once among the validation examples (a control).
        """

    @abstractmethod
    def score(
        self,
        encoder: nn.Module,
        head: nn.Module,
        split: Literal["train", "val", "test"] = "val",
        key: TestKey | None = None,
    ) -> Scores:
        """Evaluate in evaluation mode and return all metrics of the task, in its units.

        Raises
        ------
        TestSplitError: if ``split`` is "test" and ``key`` is not this problem's own.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Counts and checksums for the record: rows kept and dropped, sizes of the parts, corpus molecules dropped."""
