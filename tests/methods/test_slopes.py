"""An objective that nothing moves is refused before training; one that a batch has nothing for is not."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor, nn

from methods.settings import ContinuedSettings
from methods.stages.common import SLOPE_BATCHES, LossError, Pretraining
from tasks.problem import Batch, BatchStream
from tests.methods.analytic import start_of
from tests.methods.tiny import SGD, Tiny

BATCH = 4


class Sparse(Tiny):
    """The objective "far" is 0 in every batch but one."""

    def __init__(self, only: int) -> None:
        super().__init__()
        self.only = only

    def corpus(self) -> BatchStream:
        return self.stream("corpus", BATCH, "slopes")

    def objective_terms(self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Any = ()) -> list[Tensor]:
        near, far, opposed = super().objective_terms(encoder, heads, batch, idle)
        there = bool((batch["x"] == self.corpus().batch(self.only)["x"]).all())
        return [near, far if there else 0 * far, opposed]


def look(problem: Sparse, idle: tuple[str, ...] = ()) -> None:
    settings = ContinuedSettings.model_validate({"steps": 1, "batch": BATCH, "optimiser": SGD})
    Pretraining(problem, start_of(problem), settings, "continued", idle).check_slopes(problem.corpus())


@pytest.mark.parametrize("only", [0, SLOPE_BATCHES - 1])
def test_one_batch_with_a_slope_will_do(only: int) -> None:
    look(Sparse(only))


def test_no_slope_in_any_batch_is_refused_unless_the_objective_is_idle() -> None:
    with pytest.raises(LossError, match=r"continued, step 0: the loss 'far' is constant at 0\.0: nothing moves it"):
        look(Sparse(SLOPE_BATCHES))
    look(Sparse(SLOPE_BATCHES), idle=("far",))
