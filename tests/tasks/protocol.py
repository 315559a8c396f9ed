"""Protocol values for tests of problems."""

from __future__ import annotations

from typing import Any

from tasks.settings import CorpusSettings, GraphSettings, ImageSettings, LabelSettings, TaskSettings, TextSettings


def image_settings(**changes: Any) -> ImageSettings:
    values = {
        "render_pixels": 128,
        "pixels": 64,
        "width": 8,
        "flip": 0.5,
        "gray": 0.2,
        "rotation": "right-angles",
        "fill": "white",
        "jigsaw_keep": 0.8,
        "permutations": 100,
        "permutation_seed": 0,
        "mask_pixels": 5,
        "contrastive_share": 0.25,
    }
    return ImageSettings.model_validate(values | changes)


def text_settings(**changes: Any) -> TextSettings:
    values = {
        "tokenizer": "own",
        "vocabulary": 400,
        "sentences": 300,
        "layers": 1,
        "width": 32,
        "heads": 2,
        "dropout": 0.1,
        "tokens": 32,
        "corpus_tokens": 24,
    }
    return TextSettings.model_validate(values | changes)


def graph_settings(**changes: Any) -> GraphSettings:
    values = {
        "features": "published",
        "layers": 2,
        "width": 8,
        "dropout": 0.5,
        "molecules": 24,
        "conformers": 1,
        "schnet_width": 8,
        "schnet_filters": 8,
        "schnet_interactions": 1,
        "schnet_gaussians": 6,
        # The demo's molecules are small: with 5 and (4, 7) many have no context.
        "radius": 3,
        "context": (2, 4),
    }
    return GraphSettings.model_validate(values | changes)


def corpus_settings(**changes: Any) -> CorpusSettings:
    values = {
        "molecules": 1600,
        "shares": {"zinc": 0.3, "chembl": 0.35, "pubchem": 0.2, "moses_neutralized": 0.15},
        "clusters": (4, 8, 16),
        "seed": 0,
        "exclude": "suite",
    }
    return CorpusSettings.model_validate(values | changes)


def task_settings(
    *, standardise: bool = True, image: ImageSettings | None = None, graph: GraphSettings | None = None
) -> TaskSettings:
    return TaskSettings(
        labels=LabelSettings(standardise=standardise),
        corpus=corpus_settings(),
        image=image or image_settings(),
        text=text_settings(),
        graph=graph or graph_settings(),
    )
