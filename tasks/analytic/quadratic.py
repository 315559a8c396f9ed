"""The quadratic problems as arrays, from a fixed seed of their own: every run of a task has the same data.

Letters: d width, n objectives, k directions that the downstream head reads, N examples.

The encoder is a vector theta (d,). Objective i is 1/2 (theta - a_i)' A_i (theta - a_i). An example has inputs
x (d,) and a label y = x . t + noise; its prediction is x . theta + z . phi with z the last k inputs and phi the
downstream head, so that the end task is quadratic in (theta, phi) too.

In each part of the labelled examples the second moments of x are C and the noise is orthogonal to x, both
exactly: t is the least-squares solution there. The training part is too few examples: its t lies off that of
the other two by ``SHIFT``, orthogonal to what the head reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import RequestError, nearest

Array = NDArray[np.float64]

FORMAT = 1  # raise when the same name would give other numbers
TASKS = ("isotropic", "skewed")
OBJECTIVES = ("helpful", "partly", "useless", "harmful")
D, K = 8, 2
SIZES = {"train": 48, "val": 48, "test": 200}
CORPUS = 256
LABEL_NOISE = 0.3  # root mean square distance of the labels from x . t, in every part
SPECTRUM = (0.25, 2.0)  # smallest and largest eigenvalue of skewed curvatures
SEED = 20241010
OFF_CENTRE = 0.5  # added to the training inputs, so that as unlabelled examples they pull elsewhere than the corpus

TARGET = (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, -1.0)  # t of validation and test
SHIFT = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # t of training less that
# With all curvatures the identity and 2 gamma = 1 (or c = 1 in two levels) the best theta would be t - SHIFT.
# The nearest point of the hull, in what the head does not read, is 0.7 helpful + 0.3 partly.
CENTRES = (
    (2.1, -1.1, 0.8, 0.0, 0.0, 0.0, 1.0, -1.0),
    (1.1, -0.1, -1.2, 0.0, 0.0, 0.0, 0.5, -0.5),
    (0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0),
    (-2.0, 1.0, 0.0, 0.0, 1.0, 0.0, -1.0, 1.0),
)


@dataclass(frozen=True)
class Quadratic:
    """One problem with the real labels of all examples: hand on what :func:`tasks.sealed.seal` makes of them."""

    name: str
    centres: Array  # a, (n, d)
    curvatures: Array  # A, (n, d, d)
    moments: Array  # C, (d, d)
    inputs: Array  # (N, d)
    labels: Array  # (N, 1)
    train: NDArray[np.int64]  # row numbers
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    corpus: Array  # (CORPUS, d) inputs of the unlabelled examples, of mean 0


@cache
def quadratic(name: str) -> Quadratic:
    """Return the problem called ``name``; its arrays are read-only.

    Raises
    ------
    RequestError: if there is none of that name.
    """
    if name not in TASKS:
        raise RequestError(f"task: {name!r} is no analytic problem; {nearest(name, TASKS)}")
    draws = np.random.default_rng(SEED)
    corpus = draws.standard_normal((CORPUS, D))
    inputs = {part: draws.standard_normal((size, D)) for part, size in SIZES.items()}
    inputs["train"] = inputs["train"] + OFF_CENTRE
    noise = {part: draws.standard_normal(size) for part, size in SIZES.items()}
    skewed = [_curvature(draws) for _ in range(len(CENTRES) + 1)]
    curvatures = np.stack(skewed if name == "skewed" else [np.eye(D)] * len(skewed))
    targets = dict.fromkeys(SIZES, np.array(TARGET)) | {"train": np.add(TARGET, SHIFT)}
    labels = []
    for part, x in inputs.items():
        inputs[part] = x = _with_moments(x, curvatures[-1])
        rest = noise[part] - x @ np.linalg.lstsq(x, noise[part], rcond=None)[0]
        labels.append(x @ targets[part] + LABEL_NOISE * rest / np.sqrt(np.mean(rest**2)))
    rows = np.split(np.arange(sum(SIZES.values())), np.cumsum(list(SIZES.values()))[:-1])
    arrays = (
        np.array(CENTRES), curvatures[:-1], curvatures[-1], np.concatenate(list(inputs.values())),
        np.concatenate(labels)[:, None], *rows, _with_moments(corpus - corpus.mean(0), np.eye(D)),
    )  # fmt: skip
    for array in arrays:
        array.setflags(write=False)
    return Quadratic(name, *arrays)


def recipe(name: str) -> Mapping[str, Any]:
    """Return the numbers that determine a problem, as JSON values."""
    return {
        "format": FORMAT, "name": name, "centres": CENTRES, "target": TARGET, "shift": SHIFT, "sizes": SIZES,
        "corpus": CORPUS, "label_noise": LABEL_NOISE, "spectrum": SPECTRUM, "off_centre": OFF_CENTRE, "head": K,
        "seed": SEED,
    }  # fmt: skip


def _curvature(draws: np.random.Generator) -> Array:
    """Return a symmetric matrix (d, d) with eigenvalues evenly over ``SPECTRUM`` in random directions."""
    directions = np.linalg.qr(draws.standard_normal((D, D)))[0]
    found: Array = (directions * np.linspace(*SPECTRUM, D)) @ directions.T
    return found


def _with_moments(x: Array, moments: Array) -> Array:
    """Return x (N, d) mapped linearly so that the mean of x x' is exactly ``moments``."""
    have = np.linalg.cholesky(x.T @ x / len(x))
    found: Array = np.linalg.solve(have, x.T).T @ np.linalg.cholesky(moments).T
    return found
