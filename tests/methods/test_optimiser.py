"""Optimisers against torch's own, and the fields that enter keys only where they are set."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from methods.settings import COMPLETE, ContinuedSettings, HeadOptimiserSettings, OptimiserSettings, StartSettings
from methods.stages import optimiser as optimisers

PLAIN: dict[str, Any] = {"name": "adamw", "lr": 0.1, "weight_decay": 0.5, "schedule": "constant"}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4), nn.LayerNorm(4))


def trained(make: Any, steps: int = 5) -> list[torch.Tensor]:
    """The parameters after some steps with the optimiser that ``make`` returns for them."""
    model, draws = network(), torch.Generator().manual_seed(1)
    optimiser = make(model)
    for _ in range(steps):
        optimiser.zero_grad()
        model(torch.randn(2, 1, 3, 3, generator=draws)).square().sum().backward()
        optimiser.step()
    return [parameter.detach() for parameter in model.parameters()]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_by_default_it_is_torch_s_own_bit_for_bit(name: str) -> None:
    settings = OptimiserSettings.model_validate(PLAIN | {"name": name, "momentum": 0.9})
    mine = trained(lambda model: optimisers.build(model.parameters(), settings))
    if name != "sgd":
        kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name]
        assert equal(mine, trained(lambda model: kind(model.parameters(), lr=0.1, weight_decay=0.5)))
    else:
        plain = trained(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5))
        assert equal(mine, plain)


def test_betas_and_eps_are_those_of_torch() -> None:
    settings = OptimiserSettings.model_validate(PLAIN | {"betas": [0.9, 0.98], "eps": 1e-2})
    mine = trained(lambda model: optimisers.build(model.parameters(), settings))
    other = trained(
        lambda model: torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5, betas=(0.9, 0.98), eps=1e-2)
    )
    assert equal(mine, other)
    assert not equal(mine, trained(lambda model: torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_biases_and_normalisations_need_not_decay(name: str) -> None:
    """Without a gradient's pull, here a rate of decay alone: the others shrink by 1 - lr decay, these stay."""
    settings = OptimiserSettings.model_validate(PLAIN | {"name": name, "decay_norms": False})
    model = network()
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimisers.apply(optimisers.build(model.parameters(), settings), settings, 0, 1)
    for key, parameter in model.named_parameters():
        kept = key.endswith("bias") or key.startswith(("1.", "4."))
        torch.testing.assert_close(parameter.detach(), before[key] * (1.0 if kept else 0.95))


def test_rate_and_clip_reach_all_parameters_also_in_two_groups() -> None:
    settings = OptimiserSettings.model_validate(
        PLAIN | {"name": "sgd", "weight_decay": 0, "clip": 1.0, "decay_norms": False, "schedule": "linear"}
    )
    model = network()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    optimisers.apply(optimisers.build(model.parameters(), settings), settings, 1, 4)
    moved = torch.cat([(b - p.detach()).flatten() for b, p in zip(before, model.parameters(), strict=True)])
    assert moved.norm() == pytest.approx(0.1 * 0.75 * 1.0, rel=1e-4)
    assert moved.std() < 1e-6, "one clip for both groups"


def test_what_was_added_is_in_a_key_only_where_it_is_set() -> None:
    """So that what was stored before keeps its name."""
    plain = OptimiserSettings.model_validate(PLAIN)
    keys = {"name", "lr", "momentum", "weight_decay", "clip", "schedule", "warmup"}
    assert plain.model_dump(mode="json").keys() == keys
    assert plain.model_dump(mode="json", context=COMPLETE).keys() == keys | {"betas", "eps", "decay_norms"}
    assert HeadOptimiserSettings().model_dump(mode="json").keys() == keys
    for name, value in {"betas": [0.9, 0.98], "eps": 1e-6, "decay_norms": False}.items():
        changed = ContinuedSettings.model_validate({"steps": 1, "batch": 1, "optimiser": PLAIN | {name: value}})
        dumped = changed.model_dump(mode="json")
        assert dumped["optimiser"] == plain.model_dump(mode="json") | {name: value}
        assert ContinuedSettings.model_validate(dumped) == changed
    start = {"kind": "pretrain", "steps": 1, "batch": 1, "optimiser": PLAIN}
    assert "objectives" not in StartSettings.model_validate(start).model_dump(mode="json")
    named = StartSettings.model_validate(start | {"objectives": ["masked-lm"]})
    assert named.model_dump(mode="json")["objectives"] == ["masked-lm"]
    assert named.weights == {"masked-lm": 1.0}


@pytest.mark.parametrize("wrong", [{"betas": [0.9]}, {"betas": [0.9, 1.0]}, {"eps": 0}, {"eps": -1e-8}])
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OptimiserSettings.model_validate(PLAIN | wrong)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_slow_parameters_move_by_a_share_of_the_rate(name: str) -> None:
    settings = OptimiserSettings.model_validate(PLAIN | {"name": name, "weight_decay": 0.0})
    fast, slow = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimiser = optimisers.build([fast, slow], settings, {slow: 0.1})
    (fast.sum() + slow.sum()).backward()
    optimisers.apply(optimiser, settings, 0, 10)
    assert torch.allclose(1 - slow.detach(), (1 - fast.detach()) / 10)
    assert (fast != 1).all()
