"""Which rows of a text task train, validate and test: the official parts, or a draw of the seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.files import digest

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """Rows of the files of a task, which stand one after the other: training, validation (or 0), the test files."""

    train: int
    val: int
    test: Mapping[str, int]


@dataclass(frozen=True)
class Split:
    """Ascending row numbers of the three parts, and of each test file."""

    train: Numbers
    val: Numbers
    test: Numbers
    parts: Mapping[str, Numbers]

    @property
    def checksum(self) -> str:
        """Of all of them."""
        named = {
            "train": self.train,
            "val": self.val,
            "test": self.test,
            **{f"test[{k}]": v for k, v in self.parts.items()},
        }
        content = hashlib.sha256(json.dumps({name: len(rows) for name, rows in named.items()}).encode())
        for rows in named.values():
            content.update(np.ascontiguousarray(rows, dtype="<i8").tobytes())
        return content.hexdigest()[:16]


def split_rows(sizes: Sizes, seed: int) -> Split:
    """Return the official parts or, where there is no validation file, a ninth of the training rows drawn by the seed.

    TapWeight (arXiv 2410.10006, section 4.2.2) splits the training rows of GLUE 8 to 1 at random and tests on the
    official development rows. The draw is that of NumPy's ``RandomState``, whose numbers are the same in all versions.
    """
    rows = np.arange(sizes.train + sizes.val + sum(sizes.test.values()), dtype=np.int64)
    train, val, test = np.split(rows, [sizes.train, sizes.train + sizes.val])
    if not sizes.val:
        draws = np.random.RandomState(int(digest({"purpose": "split", "seed": seed}), 16) % 2**32)
        order = draws.permutation(sizes.train)
        share = round(sizes.train / 9)
        train, val = np.sort(order[share:]), np.sort(order[:share])
    ends = np.cumsum(list(sizes.test.values()))
    parts = dict(zip(sizes.test, np.split(test, ends[:-1]), strict=True))
    for numbers in (train, val, test, *parts.values()):
        numbers.setflags(write=False)
    return Split(train, val, test, parts)
