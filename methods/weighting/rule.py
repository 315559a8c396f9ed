"""A weighting rule: how the objective weights s, a point on the simplex, are set or learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

Need = Literal["losses", "alignment"]


@dataclass(frozen=True)
class Signals:
    """What a stage measured for the rule. n objectives; all on the CPU in float64.

    ``alignment`` is q_i = v . grad L_i for the validation gradient v, raw. ``decay`` is the factor of
    the weights' own learning-rate schedule.
    """

    losses: Tensor  # (n,)
    alignment: Tensor | None = None  # (n,)
    decay: float = 1.0

    def require(self, need: Need) -> Tensor:
        """Return a signal that the rule declared in ``needs``; raises ValueError if the stage did not measure it."""
        value: Tensor | None = getattr(self, need)
        if value is None:
            raise ValueError(f"signal {need!r}: expected the stage to measure it, got none")
        return value


class Weighting(ABC):
    """The weights of n objectives. A stage reads :meth:`weights`, trains, and reports through :meth:`update`."""

    needs: ClassVar[frozenset[Need]] = frozenset()

    @abstractmethod
    def weights(self) -> Tensor:
        """Return s, shape (n,), float64: non-negative, sums to one."""

    def update(self, signals: Signals) -> None:  # noqa: B027 - a fixed rule has nothing to do
        """Learn from one step."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that :meth:`load_state_dict` needs to go on with the same bits."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore :meth:`state_dict`."""
