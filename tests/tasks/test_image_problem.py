"""The problem of molecule images: losses, batches, scores, and the sealed test split."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import NotPreparedError, RequestError
from tasks import BACKBONES
from tasks.backbones.resnet18 import build, describe, prepare
from tasks.catalogue import get, suites
from tasks.image.problem import ImageProblem
from tasks.molecules.corpus import load_corpus
from tasks.molecules.table import load_table, molecule_tasks
from tasks.problem import Problem, TestKey, TestSplitError
from tests.tasks.protocol import corpus_settings, image_settings, task_settings
from tests.tasks.reach import arrays_in

Built = tuple[Problem, TestKey]
SETTINGS = task_settings()


@pytest.fixture(scope="module")
def prepared() -> None:
    lines: list[str] = []
    prepare(molecule_tasks(suites()["demo"]), SETTINGS, mirror=None, download=False, workers=1, say=lines.append)
    assert all("\n" not in line for line in lines)


@pytest.fixture(scope="module")
def rings(prepared: None) -> Built:
    return build(describe(get("demo:rings"), SETTINGS, 0), SETTINGS, "cpu")


@pytest.fixture(scope="module")
def logp(prepared: None) -> Built:
    return build(describe(get("demo:logp"), SETTINGS, 0), SETTINGS, "cpu")


class Losses(nn.Module):
    """The losses as a function of all parameters, for functional calls."""

    def __init__(self, problem: Problem, encoder: nn.Module, heads: nn.ModuleDict) -> None:
        super().__init__()
        self.problem, self.encoder, self.heads = problem, encoder, heads

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.problem.objective_losses(self.encoder, self.heads, batch)


def doubled(batch: Any) -> dict[str, Tensor]:
    return {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}


# --- what it is


def test_registered_and_described(rings: Built) -> None:
    backbone = BACKBONES.get("resnet18")
    assert (backbone.modality, backbone.inputs) == ("image", "molecule")
    problem, _ = rings
    names = ("cluster-4", "cluster-8", "cluster-16", "jigsaw", "mask-contrastive", "planted")
    assert problem.objectives == names
    assert problem.spec.corpus["clusters"] == [4, 8, 16]
    assert problem.spec.corpus["views"]["mask_pixels"] == 5
    assert problem.spec.encoder["width"] == 8
    assert problem.spec.split_checksum == load_table(problem.task).split_checksum
    assert problem.facts()["table"]["train"] == 256
    assert problem.facts()["corpus"]["molecules"] == 1600


def test_spec_depends_on_what_matters(prepared: None) -> None:
    task = get("demo:rings")
    base = describe(task, SETTINGS, 0)
    assert describe(task, SETTINGS, 0) == base
    assert describe(task, SETTINGS, 1) != base
    assert describe(task, task_settings(standardise=False), 0).labels != base.labels
    assert describe(task, task_settings(image=image_settings(width=16)), 0).encoder != base.encoder
    assert describe(task, task_settings(image=image_settings(jigsaw_keep=0.5)), 0).corpus != base.corpus
    assert describe(get("demo:logp"), SETTINGS, 0).corpus == base.corpus  # shared stages rely on it


def test_build_refuses_other_settings_and_missing_images(prepared: None) -> None:
    spec = describe(get("demo:rings"), SETTINGS, 0)
    with pytest.raises(RequestError, match="settings and data that the spec describes"):
        build(spec, task_settings(image=image_settings(width=16)), "cpu")
    larger = task_settings(image=image_settings(pixels=128))
    with pytest.raises(NotPreparedError, match=r"have no readable image.*bench prepare"):
        build(describe(get("demo:rings"), larger, 0), larger, "cpu")


def test_describing_loads_no_torch(prepared: None) -> None:
    code = (
        "import sys\n"
        "from tasks.backbones.resnet18 import describe\n"
        "from tasks.catalogue import get\n"
        "from tests.tasks.protocol import task_settings\n"
        "describe(get('demo:rings'), task_settings(), 0)\n"
        "print('torch' in sys.modules, 'rdkit' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


# --- modules


def test_modules_start_from_the_seed(rings: Built) -> None:
    problem, _ = rings
    other, _ = build(describe(problem.task, SETTINGS, 1), SETTINGS, "cpu")
    for make in ("encoder", "objective_heads", "downstream_head"):
        one, same, changed = getattr(problem, make)(), getattr(problem, make)(), getattr(other, make)()
        pairs = list(zip(one.state_dict().values(), same.state_dict().values(), strict=True))
        assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)
        firsts = next(iter(one.parameters())), next(iter(changed.parameters()))
        assert not torch.equal(*firsts)
    heads = {name: head.out_features for name, head in problem.objective_heads().items()}
    assert heads == {"cluster-4": 4, "cluster-8": 8, "cluster-16": 16, "jigsaw": 101, "planted": 16}
    assert problem.encoder().conv1.weight.is_contiguous(memory_format=torch.channels_last)


# --- objectives


def test_losses_equal_a_second_implementation(rings: Built) -> None:
    problem, _ = rings
    encoder, heads = problem.encoder().eval(), problem.objective_heads()
    batch = problem.stream("corpus", 12, "pretrain").batch(0)
    losses = problem.objective_losses(encoder, heads, batch)
    with torch.no_grad():
        features = encoder(batch["jigsaw"])
        columns = {"cluster-4": batch["clusters"][:, 0], "cluster-8": batch["clusters"][:, 1]}
        columns |= {"cluster-16": batch["clusters"][:, 2], "jigsaw": batch["order"], "planted": batch["planted"]}
        for index, name in enumerate(problem.objectives):
            if name == "mask-contrastive":
                apart = (encoder(batch["plain"]) - encoder(batch["masked"])).norm(dim=1).mean()
                assert losses[index].item() == pytest.approx(apart.item(), abs=1e-4)
            else:
                log_p = heads[name](features).log_softmax(dim=1)
                nll = -np.mean([log_p[row, int(label)].item() for row, label in enumerate(columns[name])])
                assert losses[index].item() == pytest.approx(nll, rel=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_equals_backward_gradients(rings: Built, training: bool) -> None:
    problem, _ = rings
    model = Losses(problem, problem.encoder().double(), problem.objective_heads().double()).train(training)
    batch = doubled(problem.stream("corpus", 8, "pretrain").batch(0))
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    draws = torch.Generator().manual_seed(0)
    v = {name: torch.randn(value.shape, generator=draws, dtype=value.dtype) for name, value in parameters.items()}

    def losses_at(values: dict[str, Tensor]) -> Tensor:
        clones = {name: value.clone() for name, value in buffers.items()}
        return torch.func.functional_call(model, {**values, **clones}, (batch,))  # type: ignore[no-any-return]

    values, slopes = torch.func.jvp(losses_at, (parameters,), (v,))
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    losses = model(batch)
    torch.testing.assert_close(values, losses.detach(), rtol=1e-10, atol=0)
    for index, loss in enumerate(losses):
        gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
        slope = sum(
            (v[name] * gradient).sum()
            for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True)
            if gradient is not None
        )
        assert slopes[index].item() == pytest.approx(float(slope), rel=1e-8), problem.objectives[index]


def test_mask_contrastive_is_smooth_where_the_views_agree(rings: Built) -> None:
    problem, _ = rings
    encoder, heads = problem.encoder(), problem.objective_heads()
    batch = dict(problem.stream("corpus", 8, "pretrain").batch(0))
    batch["masked"] = batch["plain"]
    loss = problem.objective_losses(encoder, heads, batch)[4]
    loss.backward()
    assert loss.item() == pytest.approx(1e-4, rel=1e-3)
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize(("features", "distance"), [("raw", (2**0.5 + 3) / 2), ("normalised", (0.08**0.5 + 2) / 2)])
def test_mask_contrastive_by_hand(prepared: None, features: str, distance: float) -> None:
    """Of (3, 4) and (4, 3), of (0, 2) and (0, -1); on the unit sphere (0.6, 0.8) and (0.8, 0.6), (0, 1) and (0, -1)."""
    settings = task_settings(image=image_settings(contrastive_features=features))
    problem, _ = build(describe(get("demo:rings"), settings, 0), settings, "cpu")
    others = [name for name in problem.objectives if name != "mask-contrastive"]
    batch = problem.stream("corpus", 8, "pretrain").batch(0)

    def loss(plain: Tensor, masked: Tensor) -> Tensor:
        views = {**batch, "plain": plain, "masked": masked}
        return problem.objective_losses(nn.Identity(), nn.ModuleDict(), views, others)[4]

    plain, masked = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[4.0, 3.0], [0.0, -1.0]])
    assert loss(plain, masked).item() == pytest.approx(distance, rel=1e-5)
    scale = 1 if features == "normalised" else 10  # smaller features are what the published loss can fall by
    assert loss(10 * plain, 10 * masked).item() == pytest.approx(scale * distance, rel=1e-5)
    alike = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)  # a feature vector of 0 has no direction
    there = alike.detach().clone().requires_grad_()
    found = torch.autograd.grad(loss(alike, there), (alike, there))
    assert all(bool(gradient.isfinite().all()) for gradient in found)


def test_features_of_mask_contrastive_are_part_of_what_names_a_problem(prepared: None) -> None:
    raw, normalised = (
        describe(get("demo:rings"), task_settings(image=image_settings(contrastive_features=features)), 0)
        for features in ("raw", "normalised")
    )
    assert raw == describe(get("demo:rings"), SETTINGS, 0)
    assert normalised.corpus != raw.corpus


# --- batches


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)


@pytest.mark.parametrize("source", ["corpus", "train", "val", "val-null"])
def test_batches_have_random_access_and_depend_on_step_and_purpose(rings: Built, source: Any) -> None:
    problem, _ = rings
    stream = problem.stream(source, 8, "stage")
    in_order = [stream.batch(step) for step in range(4)]
    again = build(problem.spec, SETTINGS, "cpu")[0].stream(source, 8, "stage")
    for step in (3, 0, 2, 1):
        assert_same(again.batch(step), in_order[step])
    images = "jigsaw" if source == "corpus" else "images"
    assert not torch.equal(in_order[0][images], in_order[1][images])
    assert not torch.equal(problem.stream(source, 8, "other").batch(0)[images], in_order[0][images])
    assert in_order[0][images].is_contiguous(memory_format=torch.channels_last)


def test_drawing_elsewhere_changes_nothing(rings: Built) -> None:
    problem, _ = rings
    torch.manual_seed(1)
    one = problem.stream("corpus", 8, "stage").batch(5)
    torch.manual_seed(2)
    torch.rand(7)
    before = torch.random.get_rng_state()
    assert_same(one, problem.stream("corpus", 8, "stage").batch(5))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("size", [1, 7, 32, 50, 96])
def test_each_epoch_holds_each_example_once(rings: Built, size: int) -> None:
    problem, _ = rings
    stream = problem.stream("val", size, "epochs")
    total = len(stream)
    assert total == 32
    count = 3 * total // size + 1
    row = torch.cat([stream.chosen(step) for step in range(count)])  # type: ignore[attr-defined]
    assert len(row) == count * size
    epochs = [row[start : start + total].tolist() for start in (0, total, 2 * total)]
    assert all(sorted(epoch) == list(range(total)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_corpus_labels_belong_to_their_images(rings: Built) -> None:
    problem, _ = rings
    pool = load_corpus(suites()["demo"], corpus_settings())
    stream = problem.stream("corpus", 64, "stage")
    batch, chosen = stream.batch(2), stream.chosen(2)  # type: ignore[attr-defined]
    assert torch.equal(batch["clusters"], torch.from_numpy(pool.clusters)[chosen])
    assert batch["order"].max() <= 100
    assert batch["planted"].max() < 16
    again, _ = build(describe(get("demo:logp"), SETTINGS, 3), SETTINGS, "cpu")
    assert isinstance(problem, ImageProblem)
    assert isinstance(again, ImageProblem)
    assert torch.equal(problem._sources["corpus"].planted, again._sources["corpus"].planted)  # type: ignore[arg-type]


def test_labels_are_standardised_by_the_training_part(logp: Built) -> None:
    problem, _ = logp
    table = load_table(problem.task)
    train = table.labels[table.train, 0]
    stream = problem.stream("train", len(table.train), "epoch")
    labels = stream.batch(0)["labels"][:, 0].double()
    assert labels.mean().item() == pytest.approx(0, abs=1e-5)
    assert labels.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    restored = np.sort(labels.numpy() * train.std() + train.mean())
    np.testing.assert_allclose(restored, np.sort(train), atol=1e-5)
    raw_settings = task_settings(standardise=False)
    raw, _ = build(describe(problem.task, raw_settings, 0), raw_settings, "cpu")
    got = raw.stream("train", len(table.train), "epoch").batch(0)["labels"][:, 0]
    np.testing.assert_allclose(np.sort(got.numpy()), np.sort(train), atol=1e-5)


def test_validation_images_are_plain_and_the_null_only_moves_labels(logp: Built) -> None:
    problem, _ = logp
    size = len(problem.stream("val", 1, "v"))
    real, null = (problem.stream(source, size, "v").batch(0) for source in ("val", "val-null"))
    assert torch.equal(real["images"], null["images"])
    assert not torch.equal(real["labels"], null["labels"])
    assert torch.equal(real["labels"].sort(dim=0).values, null["labels"].sort(dim=0).values)
    # The same permutation in every epoch and for every purpose.
    pairs = {tuple(image.flatten()[::97].tolist()): label.item() for image, label in zip(*null.values(), strict=True)}
    later = problem.stream("val-null", size, "w").batch(4)
    assert pairs == {
        tuple(image.flatten()[::97].tolist()): label.item() for image, label in zip(*later.values(), strict=True)
    }
    train = [problem.stream("train", 256, "t").batch(step)["images"] for step in (0, 1)]
    assert not torch.equal(train[0].sum(dim=0), train[1].sum(dim=0))  # augmented anew


@pytest.mark.parametrize("size", [0, -1])
def test_batch_size_is_checked(rings: Built, size: int) -> None:
    with pytest.raises(RequestError, match="batch_size: expected at least 1"):
        rings[0].stream("train", size, "stage")


# --- the end task


class Constant(nn.Module):
    """A head that ignores the features."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, features: Tensor) -> Tensor:
        return torch.full((len(features), 1), self.value)


def test_scores_are_in_the_units_of_the_task(logp: Built) -> None:
    problem, key = logp
    table = load_table(problem.task)
    mean, sigma = table.labels[table.train, 0].mean(), table.labels[table.train, 0].std()
    for split, rows in (("train", table.train), ("val", table.val), ("test", table.test)):
        scores = problem.score(problem.encoder(), Constant(0.5), split, key)  # type: ignore[arg-type]
        error = mean + 0.5 * sigma - table.labels[rows, 0]
        assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
        assert scores["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-6)
        assert scores["mae_normalised"] == pytest.approx(np.mean(np.abs(error)) / sigma, rel=1e-6)


def test_score_matches_a_second_implementation(rings: Built) -> None:
    from sklearn.metrics import roc_auc_score

    problem, _ = rings
    encoder, head = problem.encoder(), problem.downstream_head()
    # The validation stream of one epoch holds the same images.
    batch = problem.stream("val", 32, "all").batch(0)
    encoder.eval()
    with torch.no_grad():
        outputs = head(encoder(batch["images"]))[:, 0]
    expected = roc_auc_score(batch["labels"][:, 0].numpy(), outputs.numpy())
    assert problem.score(encoder, head)["roc_auc"] == pytest.approx(expected)


def test_score_restores_modes_and_touches_no_statistics(rings: Built) -> None:
    problem, _ = rings
    encoder, head = problem.encoder(), problem.downstream_head()
    encoder.train()
    encoder.bn1.eval()  # a part that its owner froze
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    problem.score(encoder, head)
    assert encoder.training
    assert not encoder.bn1.training
    assert encoder.layer1.training
    assert head.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


# --- the test split


def test_test_split_needs_its_own_key(rings: Built, logp: Built) -> None:
    problem, key = rings
    encoder, head = problem.encoder(), problem.downstream_head()
    for wrong in (None, TestKey(), logp[1]):
        with pytest.raises(TestSplitError):
            problem.score(encoder, head, "test", wrong)
    assert 0 <= problem.score(encoder, head, "test", key)["roc_auc"] <= 1


def test_no_array_of_the_problem_holds_test_labels(logp: Built) -> None:
    problem, _ = logp
    table = load_table(problem.task)
    mean, sigma = table.labels[table.train, 0].mean(), table.labels[table.train, 0].std()
    secret = table.labels[table.test, 0]
    open_labels = set(np.round(table.labels[np.concatenate([table.train, table.val]), 0], 4))
    telling = [value for value in secret if round(value, 4) not in open_labels]
    assert len(telling) > 10
    things = [problem, *(problem.stream(source, 8, "x") for source in ("corpus", "train", "val", "val-null"))]
    found = [array for array in arrays_in(things, set()) if array.dtype.kind == "f"]
    assert len(found) >= 2  # the search does see the labels that are open
    for array in found:
        for value in telling:
            for form in (value, (value - mean) / sigma):
                assert not np.isclose(array, form, rtol=0, atol=1e-6).any()
