"""A weighting rule: how the weights s of the terms of a loss, a point on the simplex, are set or learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor

from bench.errors import RequestError

Need = Literal["losses", "losses_after", "gramian", "alignment", "cosine", "lookahead"]


@dataclass(frozen=True)
class Signals:
    """What a stage measured for the rule, on the CPU in float64.

    n terms: the objectives, and in joint training the end task as the last one. g_i is the gradient of
    term i and v that of the validation loss, both on the encoder's parameters. ``decay`` is the factor
    of a learning-rate schedule at this step: of the weights' own, or in joint training of the body's.
    """

    losses: Tensor  # (n,)
    _: KW_ONLY
    losses_after: Tensor | None = None  # (n,), of the same batch once the parameters have moved
    gramian: Tensor | None = None  # (n, n), g_i . g_j
    alignment: Tensor | None = None  # (n,), q_i = v . g_i, raw
    cosine: Tensor | None = None  # (n,), q_i / (|v| |g_i|)
    lookahead: Tensor | None = None  # (n,), q_i with v taken one gradient step of the body ahead
    decay: float = 1.0

    def require(self, need: Need) -> Tensor:
        """Return a signal that the rule declared in ``needs``; raises ValueError if the stage did not measure it."""
        value: Tensor | None = getattr(self, need)
        if value is None:
            raise ValueError(f"signal {need!r}: expected the stage to measure it, got none")
        return value


class Weighting(ABC):
    """The weights of n terms. A stage reads :meth:`weights`, trains, and reports through :meth:`update`.

    ``needs`` names the signals that it reads. Where ``before_step`` is set, :meth:`update` comes before
    the step that uses the weights, so that they follow from the gradients of the same batch.
    """

    needs: frozenset[Need] = frozenset()
    before_step: bool = False
    least: ClassVar[int] = 1  # terms without which the rule means nothing
    state: ClassVar[tuple[str, ...]] = ()  # the attributes that updates change

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n, self.seed = n, seed

    @abstractmethod
    def weights(self) -> Tensor:
        """Return s, shape (n,), float64: non-negative, sums to one."""

    def update(self, signals: Signals) -> None:  # noqa: B027 - a fixed rule has nothing to do
        """Learn from one step."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that :meth:`load_state_dict` needs to go on with the same bits."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        for name in self.state:
            setattr(self, name, state[name])


@dataclass(frozen=True)
class Rule:
    """A weighting rule with its options: what a stage builds once it knows its terms."""

    kind: type[Weighting]
    options: Mapping[str, Any] = field(default_factory=dict)  # JSON values

    def build(self, terms: Collection[str], seed: int, stage: str, gives: Collection[Need]) -> Weighting:
        """Return the rule for these terms; the same call checks a request before anything is trained.

        Parameters
        ----------
        terms: names of what is weighted.
        gives: the signals that the stage can measure.

        Raises
        ------
        RequestError: if the rule needs another signal or more terms, or an option does not fit them.
        """
        name = self.kind.__name__
        if len(terms) < self.kind.least:
            raise RequestError(
                f"stage {stage!r}: {name} needs at least {self.kind.least} terms to weight, "
                f"got {len(terms)} ({', '.join(terms) or 'none'})"
            )
        try:
            rule = self.kind(len(terms), seed, **self.options)
        except ValueError as error:
            raise RequestError(f"stage {stage!r}: {name}: {error} ({', '.join(terms)})") from error
        if missing := sorted(rule.needs - set(gives)):
            raise RequestError(
                f"stage {stage!r}: {name} needs the signal {missing[0]!r}, which this stage does not measure; "
                f"it gives {', '.join(sorted(gives))}"
            )
        return rule

    def key(self) -> dict[str, Any]:
        """The rule's part of a stage's key."""
        return {"rule": self.kind.__name__, "options": dict(self.options)}
