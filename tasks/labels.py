"""The labels of one task: the targets that training sees, and the scores of outputs against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import RequestError
from tasks.info import TaskInfo
from tasks.metrics import evaluate
from tasks.randomness import generator
from tasks.sealed import Labelled, SealedLabels, TestKey, seal
from tasks.settings import LabelSettings

Split = Literal["train", "val", "test"]
LabelledSource = Literal["train", "val", "val-null"]
LABELLED: tuple[LabelledSource, ...] = ("train", "val", "val-null")


class SplitTable(Labelled, Protocol):
    """A table with its parts."""

    @property
    def train(self) -> NDArray[np.int64]:
        """Row numbers of the training part."""

    @property
    def val(self) -> NDArray[np.int64]:
        """Row numbers of the validation part."""


class Labels:
    """Labels of N examples in the units of the task, shape (N, t), NaN where missing and in every test row.

    Targets of a regression may be shifted and scaled by mean and standard deviation of the training part; scores stay
    in the units of the task. ``parts`` holds the row numbers of each part. With a ``weights_share``, the weights learn
    from that part of validation, drawn by the seed, and the rest is scored.

    Raises
    ------
    RequestError: if that share leaves no example for the one or the other.
    """

    def __init__(
        self,
        task: TaskInfo,
        visible: NDArray[np.float64],
        parts: Mapping[Split, Tensor],
        sealed: SealedLabels,
        settings: LabelSettings,
        seed: int,
    ) -> None:
        self._task, self._visible, self._sealed, self._seed = task, visible, sealed, seed
        self._learned = parts["val"]
        if settings.weights_share:
            order = torch.randperm(len(self._learned), generator=generator(seed, "weights share"))
            count = round(settings.weights_share * len(order))
            if not 0 < count < len(order):
                raise RequestError(
                    f"labels.weights_share: expected a share that leaves validation examples on both sides, got "
                    f"{settings.weights_share:g} of {len(order)}"
                )
            parts = {**parts, "val": self._learned[order[count:].sort().values]}
            self._learned = self._learned[order[:count].sort().values]
        self.parts = parts
        self._sigma: NDArray[np.float64] | None = None
        self._offset, self._scale = np.zeros(visible.shape[1]), np.ones(visible.shape[1])
        if task.kind == "regression":
            train = visible[parts["train"].numpy()]
            self._sigma = np.nanstd(train, axis=0)
            if settings.standardise:
                self._offset, self._scale = np.nanmean(train, axis=0), np.where(self._sigma > 0, self._sigma, 1.0)

    def rows(self, source: LabelledSource) -> Tensor:
        """Return the row numbers behind a source, shape (m,)."""
        return self.parts["train"] if source == "train" else self._learned

    def targets(self, source: LabelledSource) -> Tensor:
        """Return the targets of the rows of a source in double precision, shape (m, t); of ``val-null`` shuffled."""
        rows = self.rows(source).numpy()
        targets = torch.from_numpy((self._visible[rows] - self._offset) / self._scale)
        if source == "val-null":
            targets = targets[torch.randperm(len(rows), generator=generator(self._seed, source))]
        return targets

    def score(
        self, outputs: NDArray[np.float64], split: Split, key: TestKey | None, among: Tensor | None = None
    ) -> dict[str, float]:
        """Return the scores of the outputs of a part, by name.

        Parameters
        ----------
        outputs: (rows of the part, t), or (rows, K) for classes, as the head gives them.
        among: row numbers; then those rows of the part alone are scored.

        Raises
        ------
        TestSplitError: for the test part without the key that it was sealed with.
        ScoreError: if an output is not finite, or no target can be scored.
        """
        rows = self.parts[split]
        labels = self._sealed.open(key) if split == "test" else self._visible[rows.numpy()]
        predictions = outputs * self._scale + self._offset
        if among is not None:
            inside = torch.isin(rows, among).numpy()
            labels, predictions = labels[inside], predictions[inside]
        return evaluate(self._task, labels, predictions, self._sigma)


def labels_of(table: SplitTable, task: TaskInfo, settings: LabelSettings, seed: int) -> tuple[Labels, TestKey]:
    """Return the labels of a table, those of the test part sealed, and the only key that opens them."""
    visible, sealed, key = seal(table)
    parts: dict[Split, Tensor] = {
        "train": torch.tensor(table.train), "val": torch.tensor(table.val), "test": torch.tensor(table.test),
    }  # fmt: skip
    return Labels(task, visible, parts, sealed, settings, seed), key
