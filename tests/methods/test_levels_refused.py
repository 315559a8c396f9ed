"""What three and two levels refuse or name: values that are not finite, constants, requests that cannot be met."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import RequestError
from methods.stages.bilevel import BiLevel
from methods.stages.common import SLOPE_BATCHES, LossError
from methods.stages.trilevel import TriLevel
from methods.weighting.tapweight import TapWeight
from tasks.problem import Batch
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import NAMES, NetworkProblem, continued, three_levels, two_levels
from tests.methods.test_identities import METHODS, learn


@pytest.mark.parametrize("point", ["post", "pre"])
def test_a_poisoned_validation_loss_is_named(point: str) -> None:
    class Poisoned(NetworkProblem):
        def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            level_three = "level III" in self.streams and self.streams["level III"].asked
            return super().outputs_loss(outputs, batch) * (float("nan") if level_three else 1)

    with pytest.raises(LossError, match="tri-level, step 1: the loss 'validation' is nan"):
        learn(Poisoned(), point=point)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_poisoned_alignment_names_step_objective_and_value(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the third probe; nothing of it reaches the weights."""
    calls = []

    def poisoned(probe: Any) -> Tensor:
        calls.append(probe)
        return torch.tensor([0.1, value if len(calls) == 3 else 0.2, 0.3], dtype=torch.float64)

    monkeypatch.setattr("methods.stages.upper.choose", lambda settings: poisoned)
    with pytest.raises(LossError, match=f"tri-level, step 6: the alignment with 'second' is {value}"):
        learn(NetworkProblem(), continued(8), unroll_one=2)


def test_a_validation_gradient_that_is_not_finite_stops_the_run() -> None:
    """A finite loss whose slope is not: the root of a square at 0."""

    class Kinked(NetworkProblem):
        def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
            level_three = "level III" in self.streams and self.streams["level III"].asked
            kink = (0 * outputs).square().sum().sqrt() if level_three else 0
            return super().outputs_loss(outputs, batch) + kink

    with pytest.raises(LossError, match="tri-level, step 1: the alignment with 'first' is nan"):
        learn(Kinked())


@pytest.mark.parametrize("levels", [2, 3])
def test_a_constant_objective_is_refused_before_the_first_step(levels: int) -> None:
    class Constant(NetworkProblem):
        def objective_terms(
            self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Any = ()
        ) -> list[Tensor]:
            terms = super().objective_terms(encoder, heads, batch, idle)
            return [terms[0], terms[1].detach(), terms[2]]

    problem = Constant()
    stages: dict[int, Any] = {2: (BiLevel, two_levels), 3: (TriLevel, three_levels)}
    kind, options = stages[levels]
    with pytest.raises(LossError, match=r"-level, step 0: the loss 'second' is constant"):
        kind(continued(), options(), "val").run(problem, start_of(problem), Uninterrupted())
    assert problem.streams["continued"].asked == list(range(SLOPE_BATCHES)), "no step was taken"
    kind(continued(), options(idle=("second",)), "val").run(problem, start_of(problem), Uninterrupted())


def test_requests_that_cannot_be_met() -> None:
    def refused(objectives: int = 3, **changes: Any) -> None:
        TriLevel(continued(), three_levels(**changes), "val").validate(NetworkProblem(NAMES[:objectives]).spec)

    refused()
    with pytest.raises(RequestError, match="'tri-level': TapWeight needs at least 2 terms to weight, got 1"):
        refused(objectives=1)
    with pytest.raises(RequestError, match=r"idle: 'frist' is no objective; did you mean first"):
        refused(idle=("frist",))
    with pytest.raises(RequestError, match="expected to leave an objective to train on, got all of them"):
        refused(idle=NAMES[:3])
    for name in sorted({*METHODS} - {"backward"}):
        expected = f"hypergradient.name: expected 'backward' with alignment 'cosine', .*, got '{name}', which would not"
        with pytest.raises(RequestError, match=expected):
            refused(alignment="cosine", point="pre", hypergradient={"name": name})
    refused(alignment="cosine", hypergradient={"name": "backward"})
    with pytest.raises(RequestError, match="gamma: expected more than 0"):
        refused(gamma=0.0, hypergradient={"name": "as-released"})


def test_a_saved_rule_holds_nothing_but_what_a_checkpoint_may() -> None:
    rule = TapWeight(3, eta=0.1, alignment="ema")
    assert all(isinstance(value, (Tensor, int, float, type(None))) for value in rule.state_dict().values())
