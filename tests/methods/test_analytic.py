"""The tri-level rule on a problem with a known optimum."""

from __future__ import annotations

import pytest
import torch

from methods.settings import ContinuedSettings, TriLevelSettings
from methods.stages.trilevel import TriLevel
from tests.methods.analytic import AnalyticProblem, Uninterrupted, start_of

CENTRES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
SGD = {"name": "sgd", "lr": 0.5, "weight_decay": 0.0, "schedule": "constant"}


def learn(target: list[float], *, rate: float, steps: int, alignment: str = "raw", every: int = 1) -> torch.Tensor:
    problem = AnalyticProblem(CENTRES, torch.tensor(target, dtype=torch.float64))
    one = ContinuedSettings.model_validate({"steps": steps, "batch": 1, "optimiser": SGD})
    two = TriLevelSettings.model_validate(
        {
            "gamma": 0.5, "batch": 1, "optimiser": SGD, "validation_batch": 1, "unroll_one": every,
            "unroll_two": 1, "point": "post",
            "hypergradient": {"name": "forward"},
            "alignment": alignment, "rate": rate, "rate_schedule": "constant",
        }
    )  # fmt: skip
    result = TriLevel(one, two, "val").run(problem, start_of(problem), Uninterrupted())
    return torch.tensor(result.log["trajectory"]["weights"][-1], dtype=torch.float64)


@pytest.mark.parametrize("every", [1, 3])
def test_reaches_the_optimal_weights_and_drops_the_harmful_objective(every: int) -> None:
    # (0.9, 0.5) lies outside the hull; its nearest point there is (0.7, 0.3) = 0.7 a_1 + 0.3 a_2.
    # Through the softmax the harmful weight falls as 1 / updates: d alpha_3 is proportional to s_3.
    weights = learn([0.9, 0.5], rate=4.0, steps=2000 * every, every=every)
    assert torch.allclose(weights, torch.tensor([0.7, 0.3, 0.0], dtype=torch.float64), atol=1e-3), weights


def test_another_target_has_another_optimum() -> None:
    # (0.4, 0.2) lies inside: s_1 - s_3 = 0.4, s_2 - s_3 = 0.2 and sum_i s_i = 1 give s_3 = 0.4 / 3.
    third = (1 - 0.4 - 0.2) / 3
    weights = learn([0.4, 0.2], rate=2.0, steps=1500)
    expected = torch.tensor([0.4 + third, 0.2 + third, third], dtype=torch.float64)
    assert torch.allclose(weights, expected, atol=1e-3), weights


def test_normalised_alignment_drops_the_harmful_objective_too() -> None:
    weights = learn([0.9, 0.5], rate=0.02, steps=1600, alignment="ema")
    assert weights[2] < 0.02
    assert abs(weights[0] - 0.7) < 0.05, weights


def test_weights_stay_on_the_simplex() -> None:
    weights = learn([0.9, 0.5], rate=5.0, steps=200)
    assert abs(weights.sum() - 1) < 1e-12
    assert (weights >= 0).all()
