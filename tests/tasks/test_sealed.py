"""The test labels open for their own key alone and do not slip out by accident."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tasks import problem
from tasks.molecules.table import Table
from tasks.sealed import SealedLabels, TestKey, TestSplitError, seal

LABELS = np.array([[1.5, 2.5], [3.5, np.nan], [777.25, 888.5], [999.75, np.nan]])


def table() -> Table:
    rows = np.arange(4)
    return Table(("C", "CC", "CCC", "CCCC"), LABELS.copy(), rows[:1], rows[1:2], rows[2:], "", "", {})


def test_training_sees_nan_in_test_rows_and_the_key_opens_them() -> None:
    made = table()
    visible, sealed, key = seal(made)
    np.testing.assert_array_equal(visible[:2], LABELS[:2])
    assert np.isnan(visible[2:]).all()
    np.testing.assert_array_equal(sealed.open(key), LABELS[2:])
    np.testing.assert_array_equal(made.labels, LABELS)  # the table itself is left as it was


def test_no_other_key_opens() -> None:
    _, sealed, key = seal(table())
    _, _, other = seal(table())

    class Pretender(TestKey):
        def __eq__(self, another: object) -> bool:
            return True

        __hash__ = TestKey.__hash__

    for offered in (None, other, TestKey(), Pretender(), copy.copy(key), "key"):
        with pytest.raises(TestSplitError, match="expected the key"):
            sealed.open(offered)  # type: ignore[arg-type]


def test_labels_do_not_leak() -> None:
    _, sealed, key = seal(table())
    assert "777" not in repr(sealed) + str(sealed) + repr(key)
    with pytest.raises(TypeError):
        vars(sealed)
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TestSplitError, match="stay in this process"):
            take(sealed)
    with pytest.raises(ValueError, match="read-only"):
        sealed.open(key)[0, 0] = 0


def test_later_changes_of_the_source_do_not_reach_the_sealed_labels() -> None:
    source, key = LABELS.copy(), TestKey()
    sealed = SealedLabels(source, key)
    source[:] = 0
    np.testing.assert_array_equal(sealed.open(key), LABELS)


def test_the_problem_interface_speaks_of_the_same_key() -> None:
    assert problem.TestKey is TestKey
    assert problem.TestSplitError is TestSplitError
