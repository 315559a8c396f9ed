"""Test labels stay sealed: training code sees NaN in their place, the holder of the key sees them once it asks."""

from __future__ import annotations

from typing import NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError


class Labelled(Protocol):
    """Data with the real labels of all N examples."""

    @property
    def labels(self) -> NDArray[np.float64]:
        """(N, t)."""

    @property
    def test(self) -> NDArray[np.int64]:
        """Row numbers of the test part."""


class TestSplitError(BenchError):
    """Training code asked for the test split."""

    __test__ = False


class TestKey:
    """Opens the test split of one problem. The cell holds it; stages and rules never see it."""

    __test__ = False


class SealedLabels:
    """The test labels of one problem, out of reach of ``vars``, ``repr``, copying and pickling.

    This guards against accidents, not against somebody who digs through closures.
    """

    __slots__ = ("_unseal",)

    def __init__(self, labels: NDArray[np.float64], key: TestKey) -> None:
        held = labels.copy()
        held.setflags(write=False)

        def unseal(offered: TestKey | None) -> NDArray[np.float64]:
            if offered is not key:
                offer = "no key" if offered is None else "another key"
                raise TestSplitError(f"test labels: expected the key that they were sealed with, got {offer}")
            return held

        self._unseal = unseal

    def open(self, key: TestKey | None) -> NDArray[np.float64]:
        """Return the test labels, shape (test rows, t), read-only.

        Raises
        ------
        TestSplitError: unless ``key`` is the very object that the labels were sealed with.
        """
        return self._unseal(key)

    def __reduce__(self) -> NoReturn:
        raise TestSplitError("test labels: expected them to stay in this process, got a request to copy or pickle them")


def seal(table: Labelled) -> tuple[NDArray[np.float64], SealedLabels, TestKey]:
    """Split the labels of a table into what training may see and what only the key opens.

    Returns
    -------
    The visible labels, shape (N, t), NaN in every test row; the sealed labels of the test rows, in the
    order of ``table.test``; the key.
    """
    visible = table.labels.copy()
    visible[table.test] = np.nan
    key = TestKey()
    return visible, SealedLabels(table.labels[table.test], key), key
