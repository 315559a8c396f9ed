"""The backbone "gin": molecule graphs as in Pretrain-GNN (arXiv 1905.12265) and GraphMVP (arXiv 2110.07728)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import RequestError
from tasks import BACKBONES
from tasks.backbone import Backbone, Say
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    from tasks.graph.problem import UnlabelledGraphs
    from tasks.molecules.corpus import Corpus
    from tasks.molecules.table import Table
    from tasks.problem import Problem, TestKey

NAME = "gin"
OBJECTIVES = ("attribute-masking", "context-prediction", "graphmvp-contrastive", "graphmvp-generative")
ENCODER = {"features", "layers", "width", "dropout"}  # settings of the encoder; the others are of the unlabelled graphs


def prepare(
    tasks: Sequence[TaskInfo], settings: TaskSettings, *, mirror: str | None, download: bool, workers: int, say: Say
) -> None:
    """Prepare tables, the corpus of each suite, the graphs of all molecules, and conformers of unlabelled ones."""
    from tasks.graph.cache import GraphCache
    from tasks.graph.conformers import ConformerCache
    from tasks.molecules.prepare import prepare_molecules
    from tasks.molecules.table import load_table

    prepared = prepare_molecules(tasks, settings.corpus, mirror=mirror, download=download, workers=workers, say=say)
    labelled: list[str] = []
    unlabelled = [smiles for _, corpus in prepared for smiles in _corpus_molecules(corpus, settings)]
    for task in tasks:
        table = load_table(task)
        labelled += table.smiles
        unlabelled += _own_molecules(table, settings)
    GraphCache().ensure([*labelled, *unlabelled], workers, say)
    ConformerCache(settings.graph.conformers, settings.graph.conformer_seed).ensure(unlabelled, workers, say)


def describe(task: TaskInfo, settings: TaskSettings, seed: int) -> ProblemSpec:
    """Return what determines the problem, from metadata alone."""
    from tasks.molecules.corpus import describe_corpus
    from tasks.molecules.table import usable_meta

    suite = suites()[task.suite]
    corpus, table = describe_corpus(suite, settings.corpus), usable_meta(task)
    return ProblemSpec(
        task=task,
        split_checksum=table["split_checksum"],
        labels={"checksum": table["checksum"], **settings.labels.model_dump(mode="json", exclude_defaults=True)},
        backbone=NAME,
        encoder={
            "name": NAME,
            **settings.graph.model_dump(mode="json", include=ENCODER),
            "rdkit": version("rdkit"),
            "ogb": version("ogb"),
        },
        corpus={
            **corpus,
            "planted_classes": suite.planted_classes,
            "seed": settings.corpus.seed,
            "views": settings.graph.model_dump(mode="json", exclude=ENCODER),
        },
        objectives=(*OBJECTIVES, "planted") if suite.planted_classes else OBJECTIVES,
        seed=seed,
    )


def build(spec: ProblemSpec, settings: TaskSettings, device: str) -> tuple[Problem, TestKey]:
    """Load the problem; its test labels are sealed before it sees them."""

    from tasks.graph.cache import GraphCache
    from tasks.graph.problem import GraphProblem, LabelledGraphs
    from tasks.labels import labels_of
    from tasks.molecules.corpus import load_corpus
    from tasks.molecules.table import load_table

    if describe(spec.task, settings, spec.seed) != spec:
        raise RequestError(f"{spec.task.id}: expected the settings and data that the spec describes, got others")
    suite, table = suites()[spec.task.suite], load_table(spec.task)
    pool = load_corpus(suite, settings.corpus)
    corpus = _unlabelled(suite, settings, _corpus_molecules(pool, settings))
    inputs = _unlabelled(suite, settings, _own_molecules(table, settings), spec.task.id)
    labels, key = labels_of(table, spec.task, settings.labels, spec.seed)
    graphs = GraphCache().load(table.smiles)
    examples = LabelledGraphs(graphs, labels)
    facts: Mapping[str, Any] = {"table": dict(table.counts), "corpus": dict(pool.meta)}
    return GraphProblem(spec, settings, device, {"corpus": corpus, "task": inputs}, examples, facts), key


def read_weights(path: Path, suite: str, settings: TaskSettings) -> None:
    """Read a state dict; raises RequestError if it does not fit."""
    from tasks.graph.checkpoint import load_by_name
    from tasks.graph.gin import build_gin
    from tasks.randomness import generator

    graph = settings.graph
    load_by_name(build_gin(graph.features, graph.layers, graph.width, graph.dropout, generator(0, "weights")), path)


def _corpus_molecules(pool: Corpus, settings: TaskSettings) -> list[str]:
    """Return the molecules of the corpus that become graphs: a random part, since the corpus is sorted by source."""
    import torch

    from tasks.randomness import generator

    chosen = torch.randperm(len(pool.smiles), generator=generator(settings.corpus.seed, "graphs"))
    return [pool.smiles[row] for row in chosen[: settings.graph.molecules].tolist()]


def _own_molecules(table: Table, settings: TaskSettings) -> list[str]:
    """Return the training molecules that serve as unlabelled ones: evenly spaced ones where there are too many."""
    step = max(1, -(-len(table.train) // settings.graph.molecules))
    return [table.smiles[row] for row in table.train[::step]]


def _unlabelled(suite: SuiteInfo, settings: TaskSettings, smiles: Sequence[str], *purpose: str) -> UnlabelledGraphs:
    """Add conformers, and the planted labels where the suite has them."""
    from tasks.graph.cache import GraphCache
    from tasks.graph.conformers import ConformerCache
    from tasks.graph.problem import UnlabelledGraphs
    from tasks.planted import planted_labels

    planted = planted_labels(suite.planted_classes, len(smiles), settings.corpus.seed, *purpose)
    conformers = ConformerCache(settings.graph.conformers, settings.graph.conformer_seed).load(smiles)
    return UnlabelledGraphs(GraphCache().load(smiles), conformers, planted)


BACKBONES.register(NAME)(
    Backbone(
        name=NAME,
        title="GIN on molecule graphs",
        modality="graph",
        inputs="molecule",
        prepare=prepare,
        describe=describe,
        build=build,
        read_weights=read_weights,
    )
)
