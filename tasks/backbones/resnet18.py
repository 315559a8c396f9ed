"""The backbone "resnet18": molecule images as in ImageMol and TapWeight (arXiv 2410.10006, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bench.errors import RequestError
from tasks import BACKBONES
from tasks.backbone import Backbone, Say
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tasks.image.cache import Images
    from tasks.image.problem import UnlabelledImages
    from tasks.problem import Problem, TestKey

NAME = "resnet18"


def prepare(
    tasks: Sequence[TaskInfo], settings: TaskSettings, *, mirror: str | None, download: bool, workers: int, say: Say
) -> None:
    """Prepare tables, the corpus of each suite with its clusters, and the images of all their molecules."""
    from tasks.image.cache import ImageCache
    from tasks.molecules.labelled import prepare_inputs
    from tasks.molecules.prepare import prepare_molecules
    from tasks.molecules.table import load_table

    prepared = prepare_molecules(tasks, settings.corpus, mirror=mirror, download=download, workers=workers, say=say)
    molecules: list[str] = []
    for suite, corpus in prepared:
        molecules += corpus.smiles
        for task in (task for task in tasks if task.suite == suite.name):
            prepare_inputs(task, suite, settings.corpus, corpus, workers=workers, say=say)
            molecules += load_table(task).smiles
    ImageCache(settings.image.render_pixels, settings.image.pixels).ensure(molecules, workers, say)


def describe(task: TaskInfo, settings: TaskSettings, seed: int) -> ProblemSpec:
    """Return what determines the problem, from metadata alone."""
    from tasks.molecules.corpus import describe_corpus
    from tasks.molecules.table import usable_meta

    suite, image = suites()[task.suite], settings.image
    corpus, table = describe_corpus(suite, settings.corpus), usable_meta(task)
    drawing = {"render_pixels", "pixels"}
    objectives = [*(f"cluster-{k}" for k in corpus["clusters"]), "jigsaw", "mask-contrastive"]
    return ProblemSpec(
        task=task,
        split_checksum=table["split_checksum"],
        labels={"checksum": table["checksum"], **settings.labels.model_dump(mode="json", exclude_defaults=True)},
        backbone=NAME,
        encoder={
            "name": NAME,
            "width": image.width,
            **image.model_dump(mode="json", include=drawing),
            "rdkit": version("rdkit"),
        },
        corpus={
            **corpus,
            "planted_classes": suite.planted_classes,
            "seed": settings.corpus.seed,
            "views": image.model_dump(mode="json", exclude=drawing | {"width"}),
        },
        objectives=(*objectives, "planted") if suite.planted_classes else tuple(objectives),
        seed=seed,
    )


def build(spec: ProblemSpec, settings: TaskSettings, device: str) -> tuple[Problem, TestKey]:
    """Load the problem; its test labels are sealed before it sees them."""

    from tasks.image.cache import ImageCache
    from tasks.image.problem import ImageProblem, LabelledImages
    from tasks.labels import labels_of
    from tasks.molecules.corpus import load_corpus
    from tasks.molecules.labelled import load_inputs
    from tasks.molecules.table import load_table

    if describe(spec.task, settings, spec.seed) != spec:
        raise RequestError(f"{spec.task.id}: expected the settings and data that the spec describes, got others")
    suite = suites()[spec.task.suite]
    cache = ImageCache(settings.image.render_pixels, settings.image.pixels)
    pool, table = load_corpus(suite, settings.corpus), load_table(spec.task)
    corpus = _unlabelled(suite, settings, cache.load(pool.smiles), pool.meta, pool.clusters)
    drawn = cache.load([table.smiles[row] for row in table.train])
    inputs = _unlabelled(
        suite, settings, drawn, pool.meta, load_inputs(spec.task, suite, settings.corpus), spec.task.id
    )
    labels, key = labels_of(table, spec.task, settings.labels, spec.seed)
    examples = LabelledImages(cache.load(table.smiles), labels)
    facts: Mapping[str, Any] = {"table": dict(table.counts), "corpus": dict(pool.meta)}
    return ImageProblem(spec, settings, device, {"corpus": corpus, "task": inputs}, examples, facts), key


def _unlabelled(
    suite: SuiteInfo,
    settings: TaskSettings,
    images: Images,
    corpus: Mapping[str, Any],
    clusters: NDArray[np.int64],
    *purpose: str,
) -> UnlabelledImages:
    """Add the planted labels, which every run sees alike: they are drawn by row from the seed of the corpus."""
    import torch

    from tasks.image.problem import UnlabelledImages
    from tasks.planted import planted_labels

    planted = planted_labels(suite.planted_classes, len(images), settings.corpus.seed, *purpose)
    first, second, third = corpus["clusters"]
    return UnlabelledImages(images, torch.from_numpy(clusters), (first, second, third), planted, suite.planted_classes)


BACKBONES.register(NAME)(
    Backbone(
        name=NAME,
        title="ResNet-18 on molecule images",
        modality="image",
        inputs="molecule",
        prepare=prepare,
        describe=describe,
        build=build,
        usual=True,
    )
)
