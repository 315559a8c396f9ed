"""Identities between stages, and what a stage may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import NotPreparedError
from methods.settings import Settings, StartSettings, TriLevelSettings
from methods.stage import StageResult
from methods.stages.continued import Continued
from methods.stages.finetune import Best, FineTune
from methods.stages.start import start_stage
from methods.stages.trilevel import TriLevel
from tasks.problem import Problem
from tests.methods.analytic import Uninterrupted, start_of


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def trilevel(problem: Problem, smoke: Settings, validation: Any = "val", **changes: Any) -> StageResult:
    options = TriLevelSettings.model_validate(smoke.method.model_dump() | changes)  # type: ignore[union-attr]
    return TriLevel(smoke.continued, options, validation).run(problem, start_of(problem), Uninterrupted())


@pytest.mark.parametrize("way", [{"point": "post", "name": "forward"}, {"point": "pre", "name": "one-sided"}])
def test_tapweight_without_a_weight_rate_equals_cp_bit_for_bit(
    demo_problem: Problem, smoke: Settings, way: dict[str, str]
) -> None:
    probed = {"point": way["point"], "hypergradient": {"name": way["name"]}}
    cp = Continued(smoke.continued).run(demo_problem, start_of(demo_problem), Uninterrupted())
    still = trilevel(demo_problem, smoke, rate=0.0, **probed)
    assert same(cp.weights["encoder"], still.weights["encoder"])
    assert same(cp.weights["heads"], still.weights["heads"])
    moving = trilevel(demo_problem, smoke, rate=0.5, **probed)
    assert not same(cp.weights["encoder"], moving.weights["encoder"])


def test_same_seed_same_bits_and_the_null_differs(demo_problem: Problem, smoke: Settings) -> None:
    first, second = trilevel(demo_problem, smoke), trilevel(demo_problem, smoke)
    assert first.log == second.log
    assert same(first.models["omega"].encoder, second.models["omega"].encoder)
    null = trilevel(demo_problem, smoke, validation="val-null")
    assert null.log["trajectory"]["alignment"][0] != first.log["trajectory"]["alignment"][0]
    # Level I and II saw the same batches: the first losses agree.
    assert null.log["trajectory"]["losses"][0] == first.log["trajectory"]["losses"][0]


@pytest.mark.parametrize(("way", "last"), [(("post", "forward"), 16), (("pre", "one-sided"), 14)])
def test_trajectory_rows_agree(demo_problem: Problem, smoke: Settings, way: tuple[str, str], last: int) -> None:
    rows = trilevel(demo_problem, smoke, point=way[0], hypergradient={"name": way[1]}).log["trajectory"]
    assert rows["steps"] == list(range(2, last + 1, 2))
    assert len(rows["weights"]) == len(rows["alignment"]) == len(rows["losses"]) == last // 2
    assert all(abs(sum(row) - 1) < 1e-12 for row in rows["weights"])
    assert rows["objectives"] == list(demo_problem.objectives)


def test_a_poisoned_loss_names_objective_and_step(
    demo_problem: Problem, smoke: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo_problem.objective_terms

    def poisoned(encoder: Any, heads: Any, batch: Any, idle: Any = ()) -> list[torch.Tensor]:
        terms = real(encoder, heads, batch)
        return [*terms[:3], terms[3] * float("nan"), *terms[4:]]

    monkeypatch.setattr(demo_problem, "objective_terms", poisoned)
    with pytest.raises(ArithmeticError, match="continued, step 0: the loss 'jigsaw' is nan"):
        Continued(smoke.continued).run(demo_problem, start_of(demo_problem), Uninterrupted())


def test_stages_cannot_score_the_test_split(demo_problem: Problem) -> None:
    from tasks.problem import TestKey, TestSplitError

    encoder, head = demo_problem.encoder(), demo_problem.downstream_head()
    with pytest.raises(TestSplitError):
        demo_problem.score(encoder, head, "test")
    with pytest.raises(TestSplitError):
        demo_problem.score(encoder, head, "test", TestKey())


def test_best_needs_strict_improvement() -> None:
    best = Best()
    model = torch.nn.Linear(1, 1)
    for value in (0.5, 0.7, 0.7, 0.6):
        best.offer(value, True, model, model)
    assert (best.epoch, best.value) == (1, 0.7)
    lower = Best()
    for value in (2.0, 1.5, 1.5):
        lower.offer(value, False, model, model)
    assert lower.epoch == 1


def test_finetuning_stops_after_patience_and_keeps_the_best(demo_problem: Problem, smoke: Settings) -> None:
    scores = iter([3.0, 2.0, 2.5, 2.6, 2.7, 1.0])
    settings = smoke.finetune.model_copy(update={"epochs": 6, "patience": 1})

    class Scripted:
        """The demo problem with validation scores that are written down."""

        def __getattr__(self, name: str) -> Any:
            return getattr(demo_problem, name)

        def score(self, *_: Any) -> dict[str, float]:
            return {"rmse": next(scores)}

    problem: Any = Scripted()
    result = FineTune(settings).run(problem, start_of(demo_problem), Uninterrupted())
    assert result.log["learning_curve"]["validation"] == [
        3.0,
        2.0,
        2.5,
        2.6,
    ]  # two epochs without improvement: more than one
    assert result.log["chosen_step"] == 2
    assert not same(result.models["best"].encoder, result.models["last"].encoder)


def test_the_checkpoint_enters_keys_by_content_not_by_path(demo_problem: Problem, tmp_path: Path) -> None:
    def key(path: Path) -> Any:
        return start_stage(StartSettings(kind="checkpoint", checkpoint=str(path))).key(demo_problem.spec)

    first, moved, other = (tmp_path / name for name in ("first.pth", "moved.pth", "other.pth"))
    first.write_bytes(b"weights")
    moved.write_bytes(b"weights")
    other.write_bytes(b"other weights")
    assert key(first) == key(moved) != key(other)
    assert str(tmp_path) not in str(key(first))
    with pytest.raises(NotPreparedError, match="ImageMol"):
        key(tmp_path / "missing.pth")


def test_start_from_a_checkpoint_hands_on_its_encoder(demo_problem: Problem, tmp_path: Path) -> None:
    other = demo_problem.encoder()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    path = tmp_path / "ImageMol.pth.tar"
    renamed = {f"module.resnet18.{name}": tensor for name, tensor in other.state_dict().items()}
    torch.save({"state_dict": renamed | {"fc.weight": torch.zeros(1)}}, path)
    stage = start_stage(StartSettings(kind="checkpoint", checkpoint=str(path)))
    result = stage.run(demo_problem, {}, Uninterrupted())
    assert same(dict(result.weights["encoder"]), dict(other.state_dict()))
