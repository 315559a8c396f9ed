"""Molecule images with ImageMol's objectives as TapWeight weighs them (arXiv 2410.10006, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import RequestError
from tasks.heads import linear
from tasks.image.augment import augment
from tasks.image.cache import Images
from tasks.image.checkpoint import load_by_position
from tasks.image.resnet import resnet18
from tasks.image.views import corpus_views, normalise, to_unit
from tasks.labels import LABELLED, Labels, Split
from tasks.losses import masked_loss
from tasks.modes import evaluating
from tasks.problem import Batch, BatchStream, Problem, Scores, Source, TestKey
from tasks.randomness import generator
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream, pool_of

ROOT_EPSILON = 1e-8  # keeps the root of the mask-contrastive distance differentiable at 0
SCORE_BATCH = 256  # examples scored at once; no effect on the scores


@dataclass(frozen=True)
class UnlabelledImages:
    """Unlabelled examples: images, cluster labels (N, 3) below the three K, planted labels (N,) where there are any."""

    images: Images
    clusters: Tensor
    sizes: tuple[int, int, int]
    planted: Tensor | None = None
    planted_classes: int = 0


@dataclass(frozen=True)
class LabelledImages:
    """The N examples of a task: images and labels."""

    images: Images
    labels: Labels


class ImageProblem(Problem):
    """The problem of one task. Letters as in ``Problem``; s is the side of an image in pixels.

    Objectives in weight order: ``cluster-K`` three times, ``jigsaw``, ``mask-contrastive``, and
    ``planted`` in suites that plant labels drawn at random. ``sources`` are the unlabelled molecules by the
    name of their source: ``corpus``, and as ``task`` the training molecules of the task and no others.
    """

    def __init__(
        self,
        spec: ProblemSpec,
        settings: TaskSettings,
        device: str,
        sources: Mapping[str, UnlabelledImages],
        examples: LabelledImages,
        facts: Mapping[str, Any],
    ) -> None:
        self.spec, self.device = spec, torch.device(device)
        self._image, self._facts = settings.image, dict(facts)
        self._sources, self._examples = sources, examples

    def encoder(self) -> nn.Module:
        network = resnet18(self._image.width, generator(self.spec.seed, "encoder"))
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def load_checkpoint(self, path: Path) -> nn.Module:
        encoder = self.encoder()
        load_by_position(encoder, path)
        return encoder

    def objective_heads(self) -> nn.ModuleDict:
        corpus = self._sources["corpus"]
        outputs = {f"cluster-{k}": k for k in corpus.sizes}
        outputs["jigsaw"] = self._image.permutations + 1
        if corpus.planted is not None:
            outputs["planted"] = corpus.planted_classes
        return nn.ModuleDict({name: self._linear(classes, "head", name) for name, classes in outputs.items()})

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        """Return the n losses from three passes: all classifiers read the jigsaw view (ImageMol's code)."""
        features = encoder(batch["jigsaw"])
        sizes = self._sources["corpus"].sizes
        labels = {f"cluster-{k}": batch["clusters"][:, column] for column, k in enumerate(sizes)}
        labels["jigsaw"] = batch["order"]
        if "planted" in batch:
            labels["planted"] = batch["planted"]
        losses = dict.fromkeys(idle, features.new_zeros(()))
        for name in (name for name in labels if name not in idle):
            losses[name] = functional.cross_entropy(heads[name](features), labels[name])
        if "mask-contrastive" not in idle:
            losses["mask-contrastive"] = self._mask_contrastive(encoder(batch["plain"]), encoder(batch["masked"]))
        return [losses[name] for name in self.objectives]

    def _mask_contrastive(self, plain: Tensor, masked: Tensor) -> Tensor:
        """Mean distance between the features (b, d) of two views; on the unit sphere it cannot shrink them."""
        if self._image.contrastive_features == "normalised":
            plain, masked = functional.normalize(plain, dim=1), functional.normalize(masked, dim=1)
        return ((plain - masked).square().sum(dim=1) + ROOT_EPSILON).sqrt().mean()

    def downstream_head(self) -> nn.Module:
        return self._linear(self.task.outputs, "downstream head")

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        features: Tensor = encoder(batch["images"])
        return features

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
            pool = pool_of(self._sources, source, purpose)
            if math.ceil(self._image.contrastive_share * batch_size) < 2:
                raise RequestError(
                    f"image.contrastive_share: expected at least two examples for batch statistics, "
                    f"got {self._image.contrastive_share} of a batch of {batch_size}; raise it or the batch"
                )
            views = partial(self._views, pool)
            return ShuffledStream(batch_size, torch.arange(len(pool.clusters)), seed, purpose, views)
        rows, targets = self._examples.labels.rows(source), self._examples.labels.targets(source).float()

        def make(chosen: Tensor, draws: torch.Generator) -> Batch:
            images = to_unit(self._examples.images.images(rows[chosen]), self.device)
            if source == "train":
                images = augment(images, self._image, draws)
            return {"images": normalise(images), "labels": targets[chosen].to(self.device)}

        return ShuffledStream(batch_size, torch.arange(len(rows)), seed, purpose, make)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Split = "val", key: TestKey | None = None) -> Scores:
        labels = self._examples.labels
        with evaluating(encoder, head):
            parts = [head(encoder(self._plain(rows))).double().cpu() for rows in labels.parts[split].split(SCORE_BATCH)]
        return labels.score(torch.cat(parts).numpy(), split, key)

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def _linear(self, outputs: int, *purpose: str) -> nn.Module:
        draws = generator(self.spec.seed, *purpose)
        return linear(8 * self._image.width, outputs, draws).to(self.device)

    def _plain(self, rows: Tensor) -> Tensor:
        return normalise(to_unit(self._examples.images.images(rows), self.device))

    def _views(self, pool: UnlabelledImages, rows: Tensor, draws: torch.Generator) -> Batch:
        images = to_unit(pool.images.images(rows), self.device)
        batch = {**corpus_views(images, self._image, draws), "clusters": pool.clusters[rows].to(self.device)}
        if pool.planted is not None:
            batch["planted"] = pool.planted[rows].to(self.device)
        return batch
