"""The training molecules of a task as unlabelled examples: which they are, and how they are numbered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import NotPreparedError, RequestError
from tasks.backbones.resnet18 import build, describe, prepare
from tasks.catalogue import get, suites
from tasks.image.cache import ImageCache, Images
from tasks.image.problem import ImageProblem
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.clusters import maccs_keys
from tasks.molecules.corpus import load_corpus, prepare_corpus
from tasks.molecules.labelled import load_inputs, prepare_inputs
from tasks.molecules.sample import prepare_tables
from tasks.molecules.table import load_table, molecule_tasks
from tasks.settings import CorpusSettings
from tests.tasks.protocol import corpus_settings, image_settings, task_settings

SETTINGS = task_settings()
SMALL = corpus_settings(molecules=400, clusters=(2, 3, 4))


def silent(_: str) -> None:
    pass


def nearest(task: TaskInfo, suite: SuiteInfo, settings: CorpusSettings) -> NDArray[np.int64]:
    """The numbers of the nearest centroids of a task's training molecules, by the definition."""
    table = load_table(task)
    keys = maccs_keys([table.smiles[row] for row in table.train]).astype(np.float64)
    columns = []
    for centroids in load_corpus(suite, settings).centroids:
        distances = [((row - centroids.astype(np.float64)) ** 2).sum(axis=1) for row in keys]
        columns.append([int(np.argmin(each)) for each in distances])
    return np.array(columns).T


@pytest.fixture(scope="module")
def problem() -> ImageProblem:
    prepare(molecule_tasks(suites()["demo"]), SETTINGS, mirror=None, download=False, workers=1, say=silent)
    built, _ = build(describe(get("demo:rings"), SETTINGS, 0), SETTINGS, "cpu")
    assert isinstance(built, ImageProblem)
    return built


def digests(images: Images) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images.images(range(len(images)))]


def test_the_examples_are_the_training_molecules_and_no_others(problem: ImageProblem) -> None:
    table = load_table(problem.task)
    stream = problem.stream("task", 32, "stage")
    assert len(stream) == len(table.train) == 256
    cache = ImageCache(SETTINGS.image.render_pixels, SETTINGS.image.pixels)
    drawn = {
        name: digests(cache.load([table.smiles[row] for row in getattr(table, name)]))
        for name in ("train", "val", "test")
    }
    inputs = digests(problem._sources["task"].images)
    assert inputs == drawn["train"]
    assert not {*inputs} & {*drawn["val"], *drawn["test"]}
    epoch = torch.cat([stream.chosen(step) for step in range(8)])  # type: ignore[attr-defined]
    assert sorted(epoch.tolist()) == list(range(256))


def test_batches_are_corpus_batches_with_the_numbers_of_the_nearest_centroids(problem: ImageProblem) -> None:
    stream, corpus = problem.stream("task", 24, "stage"), problem.stream("corpus", 24, "stage")
    numbers = torch.from_numpy(nearest(problem.task, suites()["demo"], SETTINGS.corpus))
    for step in (0, 11):  # an epoch ends inside batch 10
        batch, chosen = stream.batch(step), stream.chosen(step)  # type: ignore[attr-defined]
        assert torch.equal(batch["clusters"], numbers[chosen])
        assert "labels" not in batch
    other = corpus.batch(0)
    assert {name: (value.shape, value.dtype) for name, value in stream.batch(0).items()} == {
        name: (value.shape, value.dtype) for name, value in other.items()
    }
    assert torch.equal(stream.batch(3)["masked"], problem.stream("task", 24, "stage").batch(3)["masked"])
    losses = problem.objective_losses(problem.encoder(), problem.objective_heads(), stream.batch(0))
    assert losses.shape == (6,)
    assert bool(losses.isfinite().all())


def test_planted_labels_are_drawn_by_row(problem: ImageProblem) -> None:
    planted = problem._sources["task"].planted
    assert planted is not None
    assert planted.shape == (256,)
    assert {*planted.tolist()} == set(range(16))
    again, _ = build(describe(problem.task, SETTINGS, 5), SETTINGS, "cpu")
    other, _ = build(describe(get("demo:logp"), SETTINGS, 0), SETTINGS, "cpu")
    assert torch.equal(again._sources["task"].planted, planted)  # type: ignore[attr-defined]
    assert not torch.equal(other._sources["task"].planted, planted)  # type: ignore[attr-defined]
    assert problem._sources["corpus"].planted is not None
    assert not torch.equal(problem._sources["corpus"].planted[:256], planted)


def test_a_share_too_small_for_batch_statistics_is_refused(problem: ImageProblem) -> None:
    settings = task_settings(image=image_settings(contrastive_share=0.01))
    built, _ = build(describe(problem.task, settings, 0), settings, "cpu")
    with pytest.raises(RequestError, match="contrastive_share"):
        built.stream("task", 8, "stage")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that was prepared before there were numbers."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    suite = suites()["demo"]
    prepare_tables(molecule_tasks(suite), mirror=None, download=False, workers=1, say=silent)
    prepare_corpus(suite, SMALL, mirror=None, download=False, workers=1, say=silent)
    return tmp_path / "home"


def number(task: TaskInfo) -> None:
    suite = suites()["demo"]
    prepare_inputs(task, suite, SMALL, load_corpus(suite, SMALL), workers=1, say=silent)


def test_an_older_home_gets_the_numbers_and_nothing_else(own_home: Path) -> None:
    suite, task = suites()["demo"], get("demo:rings")
    before = {path: path.stat().st_mtime_ns for path in own_home.rglob("*.*")}
    with pytest.raises(NotPreparedError, match=r"demo:rings: .*python -m bench prepare --tasks demo:rings"):
        load_inputs(task, suite, SMALL)
    number(task)
    (path,) = set(own_home.rglob("*.*")) - set(before)
    assert path.parent == next(own_home.rglob("clusters.npz")).parent
    assert np.array_equal(load_inputs(task, suite, SMALL), nearest(task, suite, SMALL))
    with pytest.raises(NotPreparedError, match="demo:logp"):
        load_inputs(get("demo:logp"), suite, SMALL)
    after = {path: path.stat().st_mtime_ns for path in own_home.rglob("*.*")}
    number(task)
    assert {path: path.stat().st_mtime_ns for path in own_home.rglob("*.*")} == after
    assert before.items() <= after.items()


def test_damage_is_noticed_and_mended(own_home: Path) -> None:
    suite, task = suites()["demo"], get("demo:rings")
    number(task)
    whole, path = load_inputs(task, suite, SMALL), next(own_home.rglob("rings-*.npz"))
    content = path.read_bytes()
    middle = len(content) // 2
    for broken in (content[:-20], content[:middle] + b"\x00" * 8 + content[middle + 8 :], b""):
        path.write_bytes(broken)
        with pytest.raises(NotPreparedError, match="demo:rings: no cluster numbers"):
            load_inputs(task, suite, SMALL)
        number(task)
        assert np.array_equal(load_inputs(task, suite, SMALL), whole)


def test_building_without_the_numbers_names_the_command(problem: ImageProblem, bench_home: Path) -> None:
    hidden = {path: path.with_suffix(".hidden") for path in (bench_home / "corpora").glob("*/rings-*.npz")}
    for path, away in hidden.items():
        path.rename(away)
    try:
        with pytest.raises(NotPreparedError, match="bench prepare --tasks demo:rings"):
            build(problem.spec, SETTINGS, "cpu")
        assert describe(problem.task, SETTINGS, 0) == problem.spec  # they are no part of what names a problem
    finally:
        for path, away in hidden.items():
            away.rename(path)


@pytest.mark.data
def test_training_molecules_of_published_data_are_numbered(mirror: Path) -> None:
    task = get("moleculenet:bace")
    suite = suites()["moleculenet"].model_copy(update={"tasks": (task,)})
    settings = corpus_settings()
    prepare_tables(suite.tasks, mirror=str(mirror), download=False, workers=1, say=silent)
    prepare_corpus(suite, settings, mirror=str(mirror), download=False, workers=1, say=silent)
    prepare_inputs(task, suite, settings, load_corpus(suite, settings), workers=1, say=silent)
    numbers = load_inputs(task, suite, settings)
    assert numbers.shape == (len(load_table(task).train), 3)
    assert np.array_equal(numbers, nearest(task, suite, settings))
