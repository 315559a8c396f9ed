"""What joint training keeps and hands on, what fine-tuning makes of it, what is refused, and the methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import RequestError
from bench.plan import parse_methods
from bench.protocol_files import load
from methods import METHODS
from methods.settings import ContinuedSettings, FinetuneSettings, JointSettings
from methods.stage import StageResult
from methods.stages.continued import Continued
from methods.stages.finetune import Best, FineTune
from methods.stages.joint import Joint
from methods.weighting.autolambda import AutoLambda
from methods.weighting.fixed import Fixed
from methods.weighting.gradcos import GradCos
from methods.weighting.metatartan import MetaTartan
from methods.weighting.olaux import OlAux
from methods.weighting.rule import Need, Rule
from tasks.catalogue import get
from tasks.problem import BatchStream, Source
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.tiny import OBJECTIVES, SGD, SHARED, SPEC, WHOLE, Body, Scripted, Tiny, joint, meta_tartan, run

# Selection


def epochs(chosen: int, scores: list[float], first: int = 0) -> dict[str, Any]:
    """What fine-tuning logs."""
    done = list(range(first, first + len(scores)))
    return {"chosen_step": chosen, "learning_curve": {"unit": "epoch", "done": done, "validation": scores}}


def snapshot(steps: int) -> StageResult:
    return run(joint(Rule(Fixed), steps=steps, evaluate_every=1), Scripted(*range(steps, 0, -1)))


def test_stops_when_the_last_scores_are_all_below_the_best_and_keeps_the_latest_of_equals() -> None:
    scores = (3.0, 2.0, 2.0, 2.5, 2.4, 1.0)  # evaluation 3 is the last best one; then two that are worse
    result = run(joint(Rule(Fixed), steps=6, evaluate_every=1, patience=2), Scripted(*scores))
    assert result.log["learning_curve"]["validation"] == [3.0, 2.0, 2.0, 2.5, 2.4]
    assert result.log["chosen_step"] == 3
    assert len(result.log["trajectory"]["steps"]) == 5
    third = snapshot(3)
    for part in ("encoder", "heads", "head"):
        assert all(torch.equal(tensor, third.weights[part][name]) for name, tensor in result.weights[part].items())
    assert torch.equal(result.models["joint"].head["weight"], third.weights["head"]["weight"])


def test_one_more_of_patience_goes_on() -> None:
    scores = (3.0, 2.0, 2.0, 2.5, 2.4, 1.0)
    result = run(joint(Rule(Fixed), steps=6, evaluate_every=1, patience=3), Scripted(*scores))
    assert result.log["chosen_step"] == 6


def test_the_last_step_is_evaluated_too() -> None:
    result = run(joint(Rule(Fixed), steps=5, evaluate_every=2), Scripted(3.0, 2.0, 1.0))
    assert result.log["learning_curve"] == {"unit": "step", "done": [2, 4, 5], "validation": [3.0, 2.0, 1.0]}
    assert result.log["chosen_step"] == 5


def test_best_may_let_ties_replace() -> None:
    model, best, heads = nn.Linear(1, 1), Best(ties=True), nn.Linear(2, 2)
    for value in (0.5, 0.7, 0.7, 0.6):
        best.offer(value, True, model, model, heads)
    assert (best.epoch, best.since) == (2, 1)
    assert set(best.heads) == {"weight", "bias"}


# Fine-tuning afterwards

TUNING = FinetuneSettings.model_validate({"epochs": 4, "batch": 8, "patience": 1, "optimiser": SGD})


def tuned_by_hand(problem: Tiny, epochs: int) -> Iterator[tuple[Body, nn.Module, float]]:
    """Fine-tuning from a fresh head, written out; three steps an epoch."""
    body, head = Body(0), problem.downstream_head()
    optimiser = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.05, momentum=0.9, weight_decay=1e-3)
    stream = problem.stream("train", 8, "finetune")
    for step in range(3 * epochs):
        optimiser.zero_grad()
        problem.downstream_loss(body, head, stream.batch(step)).backward()
        optimiser.step()
        if step % 3 == 2:
            yield body, head, problem.score(body, head)["rmse"]


def test_without_an_incoming_head_fine_tuning_is_what_it_was() -> None:
    problem = Tiny()
    result = FineTune(TUNING).run(problem, start_of(problem), Uninterrupted())
    states, scores = [], []
    for body, head, score in tuned_by_hand(problem, len(result.log["learning_curve"]["validation"])):
        states.append({name: t.clone() for name, t in (body.state_dict() | head.state_dict()).items()})
        scores.append(score)
    best = scores.index(min(scores))
    assert result.log == epochs(best + 1, scores, first=1)
    for name, epoch in (("best", best), ("last", -1)):
        model = result.models[name]
        assert all(torch.equal(states[epoch][key], t) for key, t in {**model.encoder, **model.head}.items())


def test_with_an_incoming_head_the_incoming_model_is_epoch_0_and_wins_ties() -> None:
    start = run(joint(Rule(Fixed))).weights
    tie = FineTune(TUNING).run(Scripted(1.0, 1.0, 1.5, 9.0), start, Uninterrupted())
    assert tie.log == epochs(0, [1.0, 1.0, 1.5])  # two epochs without improvement
    assert torch.equal(tie.models["best"].head["weight"], start["head"]["weight"])
    assert torch.equal(tie.weights["encoder"]["first"], start["encoder"]["first"])
    assert not torch.equal(tie.models["last"].head["weight"], start["head"]["weight"])
    later = FineTune(TUNING).run(Scripted(1.0, 0.9, 0.8, 0.9, 0.9), start, Uninterrupted())
    assert later.log == epochs(2, [1.0, 0.9, 0.8, 0.9, 0.9])


def test_fine_tuning_goes_on_from_the_incoming_head() -> None:
    problem, start = Tiny(), run(joint(Rule(Fixed))).weights
    still = TUNING.model_copy(update={"optimiser": TUNING.optimiser.model_copy(update={"lr": 0.0}), "epochs": 1})
    result = FineTune(still).run(problem, start, Uninterrupted())
    assert torch.equal(result.models["last"].head["weight"], start["head"]["weight"])
    assert not torch.equal(start["head"]["weight"], problem.downstream_head().state_dict()["weight"])


# Wrong requests and losses that are no numbers


class WantsAfter(Fixed):
    """A rule that needs what joint training does not measure."""

    needs: frozenset[Need] = frozenset({"losses_after"})


@pytest.mark.parametrize(
    ("stage", "objectives", "message"),
    [
        (joint(Rule(WantsAfter)), OBJECTIVES, "stage 'joint': WantsAfter needs the signal 'losses_after'"),
        (joint(meta_tartan()), OBJECTIVES, "MetaTartan needs the signal 'cosine'.* it gives gramian, losses"),
        (joint(meta_tartan(), WHOLE), (), "at least one objective beside the end task"),
        (joint(Rule(Fixed, {"s": [0.5, 0.5]})), OBJECTIVES, "weights: expected 4,.*end-task"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_while_planning(
    stage: Joint, objectives: tuple[str, ...], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        stage.validate(replace(SPEC, objectives=objectives))


@pytest.mark.parametrize(
    ("poisoned", "message"),
    [("train", "joint, step 0: the loss 'end-task' is nan"), ("val", "joint, step 0: the loss 'validation' is nan")],
)
def test_a_poisoned_loss_names_step_and_term(poisoned: Source, message: str) -> None:
    class Poisoned(Tiny):
        def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
            stream: Any = super().stream(source, batch_size, purpose)
            if source != poisoned:
                return stream
            real = stream.make
            return replace(
                stream, make=lambda rows, draws: {**real(rows, draws), "y": torch.full((len(rows),), torch.nan)}
            )

    with pytest.raises(ArithmeticError, match=message):
        run(joint(meta_tartan(), SHARED), Poisoned())


def test_a_gradient_that_overflows_names_its_term() -> None:
    class Steep(Tiny):
        def objective_terms(self, *arguments: Any, **named: Any) -> list[Tensor]:
            first, *rest = super().objective_terms(*arguments, **named)
            return [(first - first.detach()) * 1e200, *rest]

    with pytest.raises(ArithmeticError, match="joint, step 0: the loss 'gramian of near' is inf"):
        run(joint(Rule(GradCos)), Steep())


# The registered methods


def settings_of(name: str, *assignments: str) -> Any:
    return load("smoke", assignments).resolve(METHODS.get(name), get("demo:logp"), "resnet18").settings


def test_the_methods_and_their_stages() -> None:
    expected = {
        "mt-tartan": (Fixed, "val", None), "meta-tartan": (MetaTartan, "val", None),
        "meta-tartan-null": (MetaTartan, "val-null", "meta-tartan"), "gradcos": (GradCos, "val", None),
        "ol-aux": (OlAux, "val", None), "autolambda": (AutoLambda, "val", None),
        "autolambda-null": (AutoLambda, "val-null", "autolambda"),
    }  # fmt: skip
    for name, (rule, validation, control_of) in expected.items():
        entry = METHODS.get(name)
        stage, last = entry.stages(settings_of(name))
        assert isinstance(stage, Joint)
        assert isinstance(last, FineTune)
        assert (stage.rule.kind, stage.validation, entry.control_of) == (rule, validation, control_of)
        assert entry.learns == (name != "mt-tartan")
        stage.validate(SPEC)
        assert json.loads(json.dumps(stage.key(SPEC))) == stage.key(SPEC)
    assert sorted(parse_methods("tartan")) == ["meta-tartan", "mt-tartan"]


def test_without_final_fine_tuning_the_joint_model_is_the_result() -> None:
    (stage,) = METHODS.get("mt-tartan").stages(settings_of("mt-tartan", "tartan.final_finetuning=false"))
    whole, _ = METHODS.get("mt-tartan").stages(settings_of("mt-tartan"))
    assert stage.key(SPEC) != whole.key(SPEC), "its read-out has another name"
    result = run(joint(Rule(Fixed), final_finetuning=False))
    assert set(result.models) == {"best"}
    assert result.log["chosen_step"] in (2, 4, 6)


def test_options_reach_the_stage_and_only_the_keys_that_they_matter_to() -> None:
    def key(name: str, *assignments: str) -> Any:
        return METHODS.get(name).stages(settings_of(name, *assignments))[0].key(SPEC)

    for assignment in ("tartan.eta=0.5", "tartan.score=dot", "tartan.weight_update=before", "tartan.jacobian=true",
                       "tartan.meta_head=shared", "tartan.meta_head_split=dev", "tartan.meta_steps=3"):  # fmt: skip
        assert key("meta-tartan", assignment) != key("meta-tartan")
        assert key("mt-tartan", assignment) == key("mt-tartan"), "constant weights read none of them"
    for assignment in ("tartan.batch=9", "tartan.head.lr=0.5", "tartan.evaluate_every=7", "tartan.patience=3"):
        assert key("mt-tartan", assignment) != key("mt-tartan")
    assert key("ol-aux", "continued.optimiser.lr=0.3")["rule"]["options"]["alpha"] == 0.3
    assert key("ol-aux", "ol-aux.interval=3")["rule"]["options"]["interval"] == 3
    assert key("autolambda", "autolambda.rate=0.3")["rule"]["options"] == {"rate": 0.3}
    assert key("autolambda", "autolambda.validation_batch=5")["meta"]["validation_batch"] == 5


def test_the_body_sees_the_corpus_batches_of_continued_pretraining() -> None:
    continued = ContinuedSettings.model_validate({"steps": 1, "batch": 8, "optimiser": SGD})
    alone = Continued(continued).run(Tiny(), start_of(Tiny()), Uninterrupted())
    both = Joint(continued, JointSettings(), Rule(Fixed)).run(Tiny(), start_of(Tiny()), Uninterrupted())
    assert alone.log["trajectory"]["losses"][0] == both.log["trajectory"]["losses"][0][:-1]


# --- which objectives, and whose inputs


def test_objectives_that_are_not_named_take_no_part() -> None:
    rule = Rule(MetaTartan, {"eta": 0.5, "score": "cosine"})
    some = run(joint(rule, SHARED, objectives=["far"]), Tiny())
    alone, everything = run(joint(rule, SHARED), Tiny(("far",))), run(joint(rule, SHARED), Tiny())
    assert some.log["trajectory"] == alone.log["trajectory"]
    assert some.log["trajectory"]["objectives"] == ["far", "end-task"]
    body = [result.weights["encoder"]["first"] for result in (some, alone, everything)]
    assert torch.equal(body[0], body[1])
    assert not torch.equal(body[0], body[2])


def test_an_objective_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RequestError, match=r"stage 'joint': objectives: 'fra' is no objective; .*far"):
        joint(Rule(Fixed), objectives=["fra"]).validate(Tiny().spec)


def test_the_names_of_results_are_as_before_there_was_a_choice() -> None:
    key = joint(Rule(Fixed)).key(SPEC)
    assert "source" not in key["pretraining"]
    assert "objectives" not in key["settings"]
    assert joint(Rule(Fixed), objectives=["far"]).key(SPEC)["settings"]["objectives"] == ["far"]
