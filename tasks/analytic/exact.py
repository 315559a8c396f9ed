"""Closed forms of the quadratic problems: optima of the lower levels, exact hypergradients, the best weights.

Letters as in :mod:`tasks.analytic.quadratic`; p = (theta, phi), shape (d + k,), s the weights (n,). Everything is
over whole parts and the whole corpus, without the noise of batches, and written apart from the code that it checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.analytic.quadratic import Array, D, K, Quadratic

ROUNDS = 200_000  # of the flow, at most


@dataclass(frozen=True)
class EndTask:
    """Half the mean squared error of one part of the labelled examples: 1/2 (p' M p - 2 b' p + mean y^2)."""

    M: Array  # (d + k, d + k)
    b: Array  # (d + k,)
    square: float

    @classmethod
    def of(cls, inputs: Array, labels: Array) -> EndTask:
        """Return the loss on inputs (N, d) with labels (N, 1)."""
        f = np.concatenate([inputs, inputs[:, -K:]], axis=1)
        return cls(f.T @ f / len(f), f.T @ labels[:, 0] / len(f), float(np.mean(labels**2)))

    @classmethod
    def part(cls, data: Quadratic, name: str) -> EndTask:
        """Return the loss on the part called ``name``."""
        rows = getattr(data, name)
        return cls.of(data.inputs[rows], data.labels[rows])

    def loss(self, p: Array) -> float:
        """Return the loss at p."""
        return float(p @ self.M @ p - 2 * self.b @ p + self.square) / 2

    def gradient(self, p: Array) -> Array:
        """Return the gradient at p, shape (d + k,)."""
        found: Array = self.M @ p - self.b
        return found


def objective_gradients(data: Quadratic, theta: Array) -> Array:
    """Return A_i (theta - a_i), shape (n, d)."""
    found: Array = np.einsum("nij,nj->ni", data.curvatures, theta - data.centres)
    return found


def pretrained(data: Quadratic, s: Array) -> Array:
    """Return theta*(s), the minimiser of sum_i s_i L_i, shape (d,)."""
    return _solve(np.tensordot(s, data.curvatures, 1), np.einsum("n,nij,nj->i", s, data.curvatures, data.centres))


class Levels(Protocol):
    """A validation loss as a function of the weights, all levels below solved."""

    def loss(self, s: Array) -> float:
        """Return L_val."""

    def gradient(self, s: Array) -> Array:
        """Return d L_val / d s by implicit differentiation of all levels below, shape (n,)."""

    def identity(self, s: Array) -> Array:
        """Return what comes of it with the identity for every inverse Hessian, as in the released code."""


@dataclass(frozen=True)
class TriLevel:
    """TapWeight's problem: theta*(s); (omega, phi) on L_tr + gamma ||omega - theta||^2; L_val (2410.10006, Eq. 5)."""

    data: Quadratic
    gamma: float
    train: EndTask
    val: EndTask

    def adapted(self, theta: Array) -> Array:
        """Return (omega*, phi*) for theta."""
        return _solve(self._hessian(), self.train.b + 2 * self.gamma * _on_body(theta))

    def loss(self, s: Array) -> float:
        return self.val.loss(self.adapted(pretrained(self.data, s)))

    def gradient(self, s: Array) -> Array:
        theta = pretrained(self.data, s)
        through_two = _solve(self._hessian(), self.val.gradient(self.adapted(theta)))[:D]
        u = _solve(np.tensordot(s, self.data.curvatures, 1), through_two)
        return -2 * self.gamma * objective_gradients(self.data, theta) @ u

    def identity(self, s: Array) -> Array:
        theta = pretrained(self.data, s)
        v = self.val.gradient(self.adapted(theta))[:D]
        return -2 * self.gamma * objective_gradients(self.data, theta) @ v

    def _hessian(self) -> Array:
        return self.train.M + 2 * self.gamma * np.diag(_on_body(np.ones(D)))


@dataclass(frozen=True)
class BiLevel:
    """TapWeight without its second level: (theta, phi) on sum_i s_i L_i + c L_tr; L_val there (2410.10006, Eq. 9)."""

    data: Quadratic
    c: float
    train: EndTask
    val: EndTask

    def adapted(self, s: Array) -> Array:
        """Return (theta*, phi*) for s."""
        pull = np.einsum("n,nij,nj->i", s, self.data.curvatures, self.data.centres)
        return _solve(self._hessian(s), _on_body(pull) + self.c * self.train.b)

    def loss(self, s: Array) -> float:
        return self.val.loss(self.adapted(s))

    def gradient(self, s: Array) -> Array:
        p = self.adapted(s)
        u = _solve(self._hessian(s), self.val.gradient(p))[:D]
        return -objective_gradients(self.data, p[:D]) @ u

    def identity(self, s: Array) -> Array:
        p = self.adapted(s)
        return -objective_gradients(self.data, p[:D]) @ self.val.gradient(p)[:D]

    def _hessian(self, s: Array) -> Array:
        found: Array = self.c * self.train.M
        found[:D, :D] += np.tensordot(s, self.data.curvatures, 1)
        return found


def best(levels: Levels, n: int) -> Array:
    """Return the weights of the least L_val on the simplex: the best end of descents from its corners and centre."""
    from scipy.optimize import minimize

    starts = [*(0.9 * np.eye(n) + 0.1 / n), np.full(n, 1 / n)]
    total = {"type": "eq", "fun": lambda s: s.sum() - 1, "jac": lambda s: np.ones(n)}
    ends = [
        minimize(
            levels.loss, start, jac=levels.gradient, method="SLSQP", bounds=[(0, 1)] * n, constraints=[total],
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        for start in starts
    ]  # fmt: skip
    found: Array = min(ends, key=lambda end: end.fun).x
    return found


def settled(slope: Callable[[Array], Array], n: int, rate: float = 0.1, tolerance: float = 1e-10) -> Array:
    """Return where s <- s exp(-rate slope(s)) / sum comes to rest from equal weights.

    There every weight that is not 0 has the same slope and the others no smaller one, which is also where
    gradient steps on the softmax's logits come to rest.

    Raises
    ------
    ArithmeticError: if it does not within many rounds.
    """
    s = np.full(n, 1 / n)
    for _ in range(ROUNDS):
        moved = s * np.exp(-rate * slope(s))
        moved /= moved.sum()
        if np.abs(moved - s).max() < tolerance * rate:
            return moved
        s = moved
    raise ArithmeticError(f"weights: expected them to come to rest, got {s}")


def _on_body(theta: Array) -> Array:
    """Return (theta, 0), shape (d + k,)."""
    return np.concatenate([theta, np.zeros(K)])


def _solve(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.solve(a, b), dtype=np.float64)
