"""META-TARTAN in training: its weights, its two orders of a step, its meta head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from methods.settings import MetaSettings
from methods.stages.joint import END_TASK
from methods.stages.metahead import ValidationGradient
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule
from tasks.problem import BatchStream, Source
from tests.methods.tiny import (
    OBJECTIVES,
    ROWS,
    SGD,
    SHARED,
    SPEC,
    WHOLE,
    WIDTH,
    Body,
    Tiny,
    explicit,
    joint,
    meta_tartan,
    run,
    trajectory,
)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("meta", [WHOLE, SHARED])
def test_raw_weights_are_the_sum_of_the_cosines(order: str, meta: MetaSettings) -> None:
    eta, result = 0.1, run(joint(meta_tartan(order=order), meta))
    cosines, s = trajectory(result, "alignment"), trajectory(result, "weights")
    assert cosines.shape == s.shape == (6, 4)
    assert (cosines.abs() <= 1).all()
    raw = eta * cosines.cumsum(0)
    assert torch.allclose(s, torch.softmax(raw, 1), atol=1e-12)
    assert (raw.abs() <= eta * torch.arange(1, 7)[:, None]).all()
    assert torch.allclose(s.sum(1), torch.ones(6, dtype=torch.float64), atol=1e-12)
    assert result.log["trajectory"]["objectives"] == [*OBJECTIVES, END_TASK]
    assert result.log["trajectory"]["steps"] == [1, 2, 3, 4, 5, 6]


def test_after_the_step_means_old_weights_and_before_means_new_ones() -> None:
    plain = run(joint(Rule(Fixed), steps=1))
    after = run(joint(meta_tartan(eta=5.0), SHARED, steps=1))
    before = run(joint(meta_tartan(eta=5.0, order="before"), SHARED, steps=1))
    assert torch.equal(trajectory(after, "weights"), trajectory(before, "weights")), "both learn from one point"
    for name, tensor in plain.weights["encoder"].items():
        assert torch.allclose(tensor, after.weights["encoder"][name], atol=1e-14), "the first step is still uniform"
    s = trajectory(before, "weights")[0]
    gradients, _, body, _ = explicit(Tiny())
    theta = torch.cat([p.detach().flatten() for p in body.parameters()])
    moved = theta - SGD["lr"] * (s @ gradients + SGD["weight_decay"] * theta)  # type: ignore[operator]
    trained = torch.cat([before.weights["encoder"][name].flatten() for name, _ in body.named_parameters()])
    assert torch.allclose(trained, moved, atol=1e-12)
    assert not torch.allclose(trained, theta - SGD["lr"] * gradients.mean(0), atol=1e-3)  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(3))
def test_a_shared_head_drives_the_end_tasks_weight_up_and_a_separate_one_less(seed: int) -> None:
    # The paper's Figure 3. Validation is training here, the limit of many examples: through the body's own
    # head v is then the end task's own gradient, so that its cosine is 1 at every step.
    cosines, weights = {}, {}
    for kind in ("shared", "separate"):
        problem = Tiny(seed=seed)
        problem.inputs["val"] = problem.inputs["train"]
        meta = WHOLE.model_copy(update={"meta_head": kind})
        result = run(joint(meta_tartan(eta=0.2), meta, steps=30), problem)
        cosines[kind], weights[kind] = (trajectory(result, name)[:, -1] for name in ("alignment", "weights"))
    assert torch.allclose(cosines["shared"], torch.ones(30, dtype=torch.float64), atol=1e-6)
    assert cosines["separate"].mean() < 0.7
    assert weights["shared"][-1] > 0.98
    assert weights["separate"][-1] < weights["shared"][-1] - 0.01


def test_a_meta_head_is_fresh_learns_its_sample_and_leaves_the_body_alone() -> None:
    problem, body = Tiny(), Body(0)
    state = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    v = ValidationGradient(problem, WHOLE, "val", "joint")
    one, again, next_one = v.meta_head(body, 3), v.meta_head(body, 3), v.meta_head(body, 4)
    assert torch.equal(one.weight, again.weight)  # type: ignore[arg-type]
    assert not torch.allclose(one.weight, next_one.weight, atol=0.05)  # type: ignore[arg-type]
    v.here(body, problem.downstream_head(), 0)
    assert all(torch.equal(state[name], tensor) for name, tensor in body.state_dict().items())
    assert all(parameter.grad is None for parameter in body.parameters())
    # A first step of AdamW is as long as its rate in every entry, whatever the gradient.
    problem.calls.clear()
    two = ValidationGradient(problem, WHOLE.model_copy(update={"meta_steps": 1}), "val", "joint").meta_head(body, 3)
    assert problem.calls == ["features", "loss"]
    fresh = problem.downstream_head().weight.detach().flatten()  # type: ignore[union-attr,operator]
    moved = (two.weight.detach().flatten().sort().values - fresh.sort().values * (1 - 1e-4)).abs()  # type: ignore[union-attr,operator]
    assert torch.allclose(moved, torch.full_like(moved, 1e-3), atol=1e-6)
    sample = problem.stream("train", ROWS, "meta head").batch(3)
    losses = [problem.downstream_loss(body, head, sample).item() for head in (two, one)]
    assert losses[1] < losses[0], "ten steps fit the sample better than one"


@pytest.mark.parametrize(("meta_steps", "scale", "taken"), [(10, 1.0, 10), (4, 1.0, 4), (10, 1e-4, 2)])
def test_a_meta_head_stops_after_its_steps_or_where_the_loss_stands_still(
    meta_steps: int, scale: float, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, body = Tiny(), Body(0)
    real = problem.outputs_loss
    monkeypatch.setattr(problem, "outputs_loss", lambda outputs, batch: scale * real(outputs, batch))
    v = ValidationGradient(problem, WHOLE.model_copy(update={"meta_steps": meta_steps}), "val", "joint")
    problem.calls.clear()
    v.meta_head(body, 0)
    assert problem.calls == ["features", *["loss"] * taken]


class Level(Tiny):
    """Fresh heads whose entries are all one half, so that shuffling them changes nothing."""

    def downstream_head(self) -> nn.Module:
        head = super().downstream_head()
        nn.utils.vector_to_parameters(torch.full((WIDTH + 1,), 0.5, dtype=torch.float64), head.parameters())
        return head


def test_the_meta_head_is_trained_by_adamw_on_the_features_of_one_sample() -> None:
    problem, body = Level(), Body(0)
    v = ValidationGradient(problem, WHOLE.model_copy(update={"meta_batch": 6}), "val", "joint")
    found, elsewhere = v.meta_head(body, 2), v.meta_head(body, 3)
    sample, head = problem.stream("train", 6, "meta head").batch(2), problem.downstream_head()
    features = body(sample["x"]).detach()
    adamw = torch.optim.AdamW(head.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.1)
    for _ in range(10):
        adamw.zero_grad()
        (head(features)[:, 0] - sample["y"]).square().mean().backward()
        adamw.step()
    for name, tensor in head.state_dict().items():
        assert torch.allclose(found.state_dict()[name], tensor, rtol=1e-12)
    assert not torch.equal(found.state_dict()["weight"], elsewhere.state_dict()["weight"]), "each step has its sample"


def test_each_step_has_a_validation_batch_of_its_own() -> None:
    problem = Tiny()
    v = ValidationGradient(problem, SHARED.model_copy(update={"validation_batch": 6}), "val", "joint")
    first, second = (v.here(Body(0), problem.downstream_head(), step) for step in (0, 1))
    assert not torch.allclose(first, second, rtol=0.05)


@pytest.mark.parametrize("validation", ["val", "val-null"])
@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_meta_head_learns_from_the_split_that_it_is_told(split: str, validation: Source) -> None:
    asked = []

    class Listening(Tiny):
        def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
            asked.append((source, batch_size))
            return super().stream(source, batch_size, purpose)

    meta = MetaSettings.model_validate({"validation_batch": 20, "meta_batch": 7, "meta_head_split": split})
    ValidationGradient(Listening(), meta, validation, "joint")
    assert asked == [(validation, 20), ("train" if split == "train" else validation, 7)]


def test_the_null_differs_in_the_signal_alone() -> None:
    stages = [joint(meta_tartan(), WHOLE, validation=source) for source in ("val", "val-null")]
    assert stages[0].key(SPEC) != stages[1].key(SPEC)
    real, null = (run(stage) for stage in stages)
    assert torch.equal(trajectory(real, "losses")[0], trajectory(null, "losses")[0])
    assert not torch.equal(trajectory(real, "alignment")[0], trajectory(null, "alignment")[0])
