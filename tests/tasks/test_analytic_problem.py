"""The quadratic problems: the losses are the quadratics that they claim to be, batches and seals as in any problem."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import RequestError
from bench.protocol_files import load
from bench.records import scan
from methods import METHODS
from tasks import BACKBONES
from tasks.analytic import exact, quadratic
from tasks.analytic.exact import EndTask
from tasks.analytic.problem import AnalyticProblem
from tasks.analytic.quadratic import CENTRES, CORPUS, OBJECTIVES, SHIFT, SIZES, TARGET, D, K
from tasks.catalogue import get
from tasks.problem import TestKey, TestSplitError
from tests.bench.commandline import run
from tests.methods.analytic import built

both = pytest.mark.parametrize("name", quadratic.TASKS)


def point(seed: int = 3) -> tuple[torch.nn.Module, torch.nn.Module, torch.nn.ModuleDict]:
    """An encoder and heads of another seed."""
    problem, _ = built(seed=seed)
    encoder = problem.encoder()
    with torch.no_grad():
        encoder.theta.add_(torch.arange(D) / 4)
    return encoder, problem.downstream_head(), problem.objective_heads()


def value(module: torch.nn.Module) -> Any:
    (parameter,) = module.parameters()
    return parameter.detach().numpy()


# --- the data


@both
def test_moments_and_targets_are_exact_in_every_part(name: str) -> None:
    data = quadratic.quadratic(name)
    for part in SIZES:
        x, y = (array[getattr(data, part)] for array in (data.inputs, data.labels))
        np.testing.assert_allclose(x.T @ x / len(x), data.moments, atol=1e-12)
        t = np.add(TARGET, SHIFT) if part == "train" else TARGET
        np.testing.assert_allclose(np.linalg.lstsq(x, y[:, 0], rcond=None)[0], t, atol=1e-12)
        assert np.sqrt(np.mean((y[:, 0] - x @ t) ** 2)) == pytest.approx(quadratic.LABEL_NOISE)
    np.testing.assert_allclose(data.corpus.mean(0), 0, atol=1e-12)
    assert np.abs(data.inputs[data.train].mean(0)).max() > 0.1, "the training inputs are off centre"
    if name == "isotropic":
        assert all(np.array_equal(matrix, np.eye(D)) for matrix in (*data.curvatures, data.moments))
    else:
        for matrix in (*data.curvatures, data.moments):
            np.testing.assert_allclose(np.linalg.eigvalsh(matrix)[[0, -1]], quadratic.SPECTRUM)
            np.testing.assert_allclose(matrix, matrix.T)
        assert np.abs(data.curvatures[0] - data.curvatures[1]).max() > 0.1


def test_what_the_objectives_are_called_is_what_they_do() -> None:
    way = np.subtract(TARGET, SHIFT)  # where the best theta lies at 2 gamma = 1
    cosines = [float(np.dot(way, a) / np.linalg.norm(way) / np.linalg.norm(a)) for a in CENTRES]
    assert cosines[0] > cosines[1] > cosines[2] == 0 > cosines[3]
    assert np.dot(SHIFT[-K:], SHIFT[-K:]) == 0, "the head sees no shift"


def test_the_tables_cannot_be_changed_and_are_the_same_for_all_seeds() -> None:
    data = quadratic.quadratic("skewed")
    with pytest.raises(ValueError, match="read-only"):
        data.inputs[0, 0] = 1
    (one, _), (other, _) = built("skewed", 0), built("skewed", 1)
    assert torch.equal(one._inputs, other._inputs)
    assert torch.equal(one._sources["corpus"], other._sources["corpus"])


def test_a_problem_that_is_not_there_is_named() -> None:
    with pytest.raises(RequestError, match="did you mean skewed"):
        quadratic.quadratic("skewd")


# --- the losses


@both
def test_losses_on_the_corpus_are_the_quadratics(name: str) -> None:
    problem, _ = built(name)
    data, (encoder, _, heads) = quadratic.quadratic(name), point()
    batch = problem.stream("corpus", CORPUS, "any").batch(0)
    losses = problem.objective_losses(encoder, heads, batch)
    theta = value(encoder)
    # A mean of quadratics about scattered centres: that about their mean, and a constant.
    scatter = [0.25 * np.trace(matrix) / 2 for matrix in data.curvatures]
    for i, objective in enumerate(OBJECTIVES):
        apart = theta - np.array(CENTRES[i])
        expected = apart @ data.curvatures[i] @ apart / 2 + scatter[i] + value(heads[objective]) ** 2 / 2
        assert losses[i].item() == pytest.approx(expected, rel=1e-12)
    expected_gradients = exact.objective_gradients(data, theta)
    for i, loss in enumerate(losses):
        (gradient,) = torch.autograd.grad(loss, list(encoder.parameters()), retain_graph=True)
        np.testing.assert_allclose(gradient, expected_gradients[i], atol=1e-12)


def test_each_objective_has_a_graph_and_a_head_of_its_own_and_may_be_idle() -> None:
    problem, _ = built()
    encoder, _, heads = point()
    batch = problem.stream("corpus", 4, "any").batch(0)
    terms = problem.objective_terms(encoder, heads, batch, idle=("useless",))
    assert not terms[2].requires_grad
    assert terms[2] == 0
    for i, name in enumerate(OBJECTIVES):
        if name != "useless":
            terms[i].backward()
            assert all((head.h.grad is not None) == (other == name) for other, head in heads.items())
            assert torch.equal(heads[name].h.grad, heads[name].h)
            heads.zero_grad()
            encoder.zero_grad()


@both
@pytest.mark.parametrize("part", ["train", "val"])
def test_the_end_task_is_the_quadratic_of_its_closed_form(name: str, part: Any) -> None:
    problem, _ = built(name)
    encoder, head, _ = point()
    batch = problem.stream(part, SIZES[part], "any").batch(0)
    loss = problem.downstream_loss(encoder, head, batch)
    loss.backward()
    closed, p = EndTask.part(quadratic.quadratic(name), part), np.concatenate([value(encoder), value(head)])
    assert loss.item() == pytest.approx(closed.loss(p), rel=1e-12)
    gradient = np.concatenate([next(module.parameters()).grad for module in (encoder, head)])
    np.testing.assert_allclose(gradient, closed.gradient(p), atol=1e-12)


def test_a_pairwise_loss_is_blind_to_offsets_but_not_to_order() -> None:
    problem, _ = built()
    encoder, head, _ = point()
    batch = dict(problem.stream("val", 24, "any").batch(0))
    loss = problem.pairwise_loss(encoder, head, batch)
    assert problem.pairwise_loss(encoder, head, batch | {"labels": batch["labels"] + 5}) == loss
    assert problem.pairwise_loss(encoder, head, batch | {"labels": -batch["labels"]}) != loss


# --- batches


def everything(problem: AnalyticProblem, source: Any) -> dict[str, Tensor]:
    stream = problem.stream(source, 1, "any")
    return dict(problem.stream(source, len(stream), "any").batch(0))


@pytest.mark.parametrize("source", ["corpus", "task", "train", "val", "val-null"])
def test_batches_depend_on_seed_purpose_and_step_alone(source: Any) -> None:
    (problem, _), (other, _) = built(), built(seed=1)
    stream = problem.stream(source, 16, "any")
    assert torch.equal(stream.batch(3)["inputs"], problem.stream(source, 16, "any").batch(3)["inputs"])
    others = (stream.batch(4), problem.stream(source, 16, "other").batch(3), other.stream(source, 16, "any").batch(3))
    assert all(not torch.equal(stream.batch(3)["inputs"], batch["inputs"]) for batch in others)
    assert ("labels" in stream.batch(0)) == (source not in ("corpus", "task"))


def test_the_inputs_of_the_task_are_those_of_the_training_part() -> None:
    problem, _ = built()
    task, train = everything(problem, "task"), everything(problem, "train")
    assert torch.equal(task["inputs"], train["inputs"])
    encoder, _, heads = point()
    gaps = problem.objective_losses(encoder, heads, task) - problem.objective_losses(
        encoder, heads, everything(problem, "corpus")
    )
    assert gaps.abs().min() > 1e-2, "off centre"


def test_shuffled_validation_labels_keep_their_values_and_lose_the_signal() -> None:
    (problem, _), (other, _) = built(), built(seed=1)
    val, null = everything(problem, "val"), everything(problem, "val-null")
    assert torch.equal(val["inputs"], null["inputs"])
    assert torch.equal(val["labels"].sort(0).values, null["labels"].sort(0).values)
    assert not torch.equal(null["labels"], everything(problem, "val-null")["labels"].flip(0))
    found = {
        kind: EndTask.of(batch["inputs"].numpy(), batch["labels"].numpy()).b[:D]
        for kind, batch in {"val": val, "null": null, "other": everything(other, "val-null")}.items()
    }
    np.testing.assert_allclose(found["val"], TARGET, atol=1e-12)
    # Without a signal the entries of b are means of 48 products of sd about |t|.
    assert np.linalg.norm(found["null"]) < 2 * np.linalg.norm(TARGET) * np.sqrt(D / SIZES["val"])
    assert np.abs(np.dot(found["null"], TARGET)) < 0.5 * np.dot(TARGET, TARGET)
    assert not np.allclose(found["null"], found["other"])


# --- what may be seen, scored and loaded


def test_test_labels_are_sealed() -> None:
    problem, key = built()
    assert np.isnan(problem._labels._visible[problem._labels.parts["test"].numpy()]).all()
    encoder, head = problem.encoder(), problem.downstream_head()
    for offered in (None, TestKey()):
        with pytest.raises(TestSplitError):
            problem.score(encoder, head, "test", offered)
    assert problem.score(encoder, head, "test", key).keys() == {"rmse", "mae", "mae_normalised"}


@both
def test_the_score_at_the_truth_is_the_noise(name: str) -> None:
    problem, key = built(name)
    encoder, head = problem.encoder(), problem.downstream_head()
    with torch.no_grad():
        encoder.theta.copy_(torch.tensor(TARGET))
        head.phi.zero_()
    assert problem.score(encoder, head)["rmse"] == pytest.approx(quadratic.LABEL_NOISE)
    assert problem.score(encoder, head, "test", key)["rmse"] == pytest.approx(quadratic.LABEL_NOISE)
    assert problem.score(encoder, head, "train")["rmse"] > 2 * quadratic.LABEL_NOISE


def test_there_are_no_checkpoints_to_load() -> None:
    problem, _ = built()
    with pytest.raises(RequestError, match=r"'analytic' has no checkpoints, got 'w.pth'; choose --protocol smoke"):
        problem.load_checkpoint(Path("w.pth"))


def test_the_spec_names_the_numbers_and_no_setting_and_needs_no_torch() -> None:
    task, backbone = get("analytic:skewed"), BACKBONES.get("analytic")
    resolve = lambda *sets: load("smoke", sets).resolve(METHODS.get("cp"), task, "analytic").settings  # noqa: E731
    spec = backbone.describe(task, resolve(), 0)
    assert spec == backbone.describe(task, resolve("image.width=4", "labels.standardise=false"), 0)
    assert spec.labels != backbone.describe(get("analytic:isotropic"), resolve(), 0).labels
    assert spec.labels != backbone.describe(task, resolve("labels.weights_share=0.5"), 0).labels
    with pytest.raises(RequestError, match="another recipe"):
        backbone.build(replace(spec, labels={"recipe": "other"}), resolve(), "cpu")
    code = (
        "import sys; from bench.protocol_files import load; from methods import METHODS; from tasks import BACKBONES;"
        "from tasks.catalogue import get; task = get('analytic:skewed');"
        "settings = load('smoke').resolve(METHODS.get('cp'), task, 'analytic').settings;"
        "BACKBONES.get('analytic').describe(task, settings, 0); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" not in loaded


def test_the_suite_runs_from_the_command_line(tmp_path: Path) -> None:
    result = run(tmp_path, "--set", "continued.steps=50", methods="finetune,cp,tapweight", tasks="analytic")
    assert result.code == 0, result
    records = scan(tmp_path).records
    assert {(record.method, record.task, record.backbone) for record in records} == {
        (method, f"analytic:{name}", "analytic")
        for method in ("finetune", "cp", "tapweight")
        for name in quadratic.TASKS
    }
    assert all(record.scores["best"]["test"]["rmse"] < 5 for record in records)
