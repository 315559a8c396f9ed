"""Molecule graphs with the objectives of Pretrain-GNN (arXiv 1905.12265) and GraphMVP (arXiv 2110.07728)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import RequestError
from tasks.graph import objectives
from tasks.graph.batches import View, unlabelled_batch, view, whole_batch
from tasks.graph.cache import Graphs
from tasks.graph.checkpoint import load_by_name
from tasks.graph.conformers import Conformers
from tasks.graph.gin import Gin, build_gin
from tasks.heads import linear
from tasks.labels import LABELLED, Labels, Split
from tasks.losses import masked_loss
from tasks.modes import evaluating
from tasks.problem import Batch, BatchStream, Problem, Scores, Source, TestKey
from tasks.randomness import generator
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream, pool_of

SCORE_BATCH = 256  # molecules scored at once; no effect on the scores


@dataclass(frozen=True)
class UnlabelledGraphs:
    """N unlabelled molecules, the conformers of those that have any, planted labels (N,) where there are any."""

    graphs: Graphs
    conformers: Conformers
    planted: Tensor | None = None


@dataclass(frozen=True)
class LabelledGraphs:
    """The N examples of a task: graphs and labels."""

    graphs: Graphs
    labels: Labels


class GraphProblem(Problem):
    """The problem of one task. Letters as in ``Problem``; v is the number of atoms of a batch.

    Objectives in weight order: ``attribute-masking``, ``context-prediction``, ``graphmvp-contrastive``,
    ``graphmvp-generative``, and ``planted`` in suites that plant labels drawn at random. ``sources`` are the
    unlabelled molecules by the name of their source. Dropout is for labelled batches: pretraining has none.
    """

    def __init__(
        self,
        spec: ProblemSpec,
        settings: TaskSettings,
        device: str,
        sources: Mapping[str, UnlabelledGraphs],
        examples: LabelledGraphs,
        facts: Mapping[str, Any],
    ) -> None:
        self.spec, self.device = spec, torch.device(device)
        self._graph, self._facts = settings.graph, dict(facts)
        self._sources, self._examples = sources, examples

    def encoder(self) -> Gin:
        return self._gin(self._graph.layers, self._graph.dropout, "encoder")

    def load_checkpoint(self, path: Path) -> Gin:
        encoder = self.encoder()
        load_by_name(encoder, path)
        return encoder

    def objective_heads(self) -> nn.ModuleDict:
        from tasks.graph.schnet import build_schnet

        graph, names = self._graph, {**dict.fromkeys(self.objectives, ""), "conformer": ""}
        draws = {name: generator(self.spec.seed, "head", name) for name in names}
        inner, outer = graph.context
        heads: dict[str, nn.Module] = {
            "attribute-masking": objectives.AttributeHead(graph.width, graph.mask_bonds, draws["attribute-masking"]),
            "context-prediction": objectives.ContextEncoder(self._gin(outer - inner, 0.0, "head", "context")),
            "conformer": build_schnet(
                graph.schnet_width, graph.schnet_filters, graph.schnet_interactions, graph.schnet_gaussians,
                graph.cutoff, graph.width, draws["conformer"],
            ),
            "graphmvp-generative": objectives.GenerativeHead(graph.width, draws["graphmvp-generative"]),
        }  # fmt: skip
        if "planted" in self.objectives:
            heads["planted"] = linear(graph.width, self.spec.corpus["planted_classes"], draws["planted"])
        return nn.ModuleDict(heads).to(self.device)

    def slow_parts(self, heads: nn.ModuleDict) -> Mapping[nn.Module, float]:
        """Return SchNet and the way from its features to the graph's (GraphMVP's released settings)."""
        head, rate = heads["graphmvp-generative"], self._graph.conformer_rate
        assert isinstance(head, objectives.GenerativeHead)
        return {} if rate == 1 else {heads["conformer"]: rate, head.from_conformer: rate}

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        """Return the n losses from three passes of the encoder: hidden atoms, substructures, crops.

        Both losses between graph and conformer read the crops; ``planted`` reads the graphs with hidden atoms.
        """
        assert isinstance(encoder, Gin)
        zero = next(encoder.parameters()).new_zeros(())
        losses = dict.fromkeys(idle, zero)
        wanted = set(self.objectives) - set(idle)
        with _undropped(encoder):
            if wanted & {"attribute-masking", "planted"}:
                losses |= self._masked(encoder, heads, batch, wanted)
            if "context-prediction" in wanted:
                losses["context-prediction"] = self._context(encoder, heads, batch)
            if wanted & {"graphmvp-contrastive", "graphmvp-generative"}:
                losses |= self._conformers(encoder, heads, batch, wanted)
        return [losses[name] for name in self.objectives]

    def downstream_head(self) -> nn.Module:
        return linear(self._graph.width, self.task.outputs, generator(self.spec.seed, "downstream head")).to(
            self.device
        )

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        return self._pooled(encoder, view(batch, "whole"))

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return masked_loss(outputs, batch["labels"], self.task.kind)

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        """Return the batches of ``source``.

        Raises
        ------
        RequestError: if there is no such source, it is empty, or the batch is too small.
        """
        seed = self.spec.seed
        if source not in LABELLED:
            if batch_size < 2:
                raise RequestError(f"batch_size: expected at least 2, as molecules are told apart, got {batch_size}")
            pool = pool_of(self._sources, source, purpose)
            places = torch.arange(len(pool.graphs))
            return ShuffledStream(batch_size, places, seed, purpose, partial(self._views, pool))
        rows, targets = self._examples.labels.rows(source), self._examples.labels.targets(source).float()

        def make(chosen: Tensor, _: torch.Generator) -> Batch:
            batch = whole_batch(self._examples.graphs, rows[chosen], self._graph)
            return self._here({**batch, "labels": targets[chosen]})

        return ShuffledStream(batch_size, torch.arange(len(rows)), seed, purpose, make)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Split = "val", key: TestKey | None = None) -> Scores:
        labels = self._examples.labels
        with evaluating(encoder, head):
            parts = [self._outputs(encoder, head, rows) for rows in labels.parts[split].split(SCORE_BATCH)]
        return labels.score(torch.cat(parts).numpy(), split, key)

    def facts(self) -> dict[str, Any]:
        """Counts of table and corpus, and of the unlabelled molecules with and without conformers."""
        found = {name: dict(pool.conformers.failures) for name, pool in self._sources.items()}
        unlabelled = {name: len(pool.graphs) for name, pool in self._sources.items()}
        return {**self._facts, "unlabelled": unlabelled, "conformer_failures": found}

    def _gin(self, layers: int, dropout: float, *purpose: str) -> Gin:
        graph = self._graph
        draws = generator(self.spec.seed, *purpose)
        return build_gin(graph.features, layers, graph.width, dropout, draws).to(self.device)

    def _pooled(self, encoder: nn.Module, graph: View) -> Tensor:
        """Return the features of the molecules of a view, shape (b, d)."""
        assert isinstance(encoder, Gin)
        return encoder.pool(encoder(graph.atoms, graph.bonds, graph.ends), graph.molecule, graph.count)

    def _masked(self, encoder: Gin, heads: nn.ModuleDict, batch: Batch, wanted: set[str]) -> dict[str, Tensor]:
        graph, losses = view(batch, "masked"), dict[str, Tensor]()
        states = encoder(graph.atoms, graph.bonds, graph.ends)
        if "attribute-masking" in wanted:
            head = heads["attribute-masking"]
            assert isinstance(head, objectives.AttributeHead)
            loss = objectives.attribute_masking(head, states, batch["masked.predicted"], batch["masked.targets"])
            if self._graph.mask_bonds:
                ends, kinds = batch["masked.predicted-bonds"], batch["masked.bond-targets"]
                loss = loss + objectives.bond_masking(head, states, ends, kinds)
            losses["attribute-masking"] = loss
        if "planted" in wanted:
            features = encoder.pool(states, graph.molecule, graph.count)
            losses["planted"] = functional.cross_entropy(heads["planted"](features), batch["planted"])
        return losses

    def _context(self, encoder: Gin, heads: nn.ModuleDict, batch: Batch) -> Tensor:
        part, ring = view(batch, "substructure"), view(batch, "context")
        centres = encoder(part.atoms, part.bonds, part.ends)[batch["substructure.centre"]]
        contexts = heads["context-prediction"](
            ring.atoms, ring.bonds, ring.ends, ring.molecule, batch["context.overlap"], ring.count
        )
        return objectives.context_prediction(centres, contexts)

    def _conformers(self, encoder: Gin, heads: nn.ModuleDict, batch: Batch, wanted: set[str]) -> dict[str, Tensor]:
        crop, settings, losses = view(batch, "crop"), self._graph, dict[str, Tensor]()
        graphs = self._pooled(encoder, crop)
        shapes = heads["conformer"](crop.atoms[:, 0], batch["crop.positions"], crop.molecule, crop.count)
        if "graphmvp-contrastive" in wanted:
            losses["graphmvp-contrastive"] = CONTRASTIVE[settings.contrastive](graphs, shapes, settings.temperature)
        if "graphmvp-generative" in wanted:
            head = heads["graphmvp-generative"]
            assert isinstance(head, objectives.GenerativeHead)
            losses["graphmvp-generative"] = objectives.generative(
                head, graphs, shapes, batch["crop.noise"], settings.beta
            )
        return losses

    def _views(self, pool: UnlabelledGraphs, rows: Tensor, draws: torch.Generator) -> Batch:
        batch = dict(unlabelled_batch(pool.graphs, pool.conformers, rows, self._graph, draws))
        if pool.planted is not None:
            batch["planted"] = pool.planted[rows]
        return self._here(batch)

    def _outputs(self, encoder: nn.Module, head: nn.Module, rows: Tensor) -> Tensor:
        batch = self._here(whole_batch(self._examples.graphs, rows, self._graph))
        outputs: Tensor = head(self.features(encoder, batch))
        return outputs.double().cpu()

    def _here(self, batch: Batch) -> Batch:
        return {name: values.to(self.device) for name, values in batch.items()}


CONTRASTIVE: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "ebm-nce": objectives.ebm_nce,
    "info-nce": objectives.info_nce,
}


@contextmanager
def _undropped(encoder: Gin) -> Iterator[None]:
    before, encoder.dropout = encoder.dropout, 0.0
    try:
        yield
    finally:
        encoder.dropout = before
