"""The backbone "roberta": a RoBERTa on text (arXiv 2410.10006, section 4.2), or another encoder of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import RequestError
from tasks import BACKBONES
from tasks.backbone import Backbone, Say
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo
from tasks.settings import TaskSettings, TextSettings
from tasks.spec import ProblemSpec

if TYPE_CHECKING:
    from tasks.problem import Problem, TestKey
    from tasks.text.problem import UnlabelledTexts
    from tasks.text.table import TextTable
    from tasks.text.tokenizer import Tokenizer

NAME = "roberta"
POSITIONS = 512  # of RoBERTa; its table has two rows more
OBJECTIVES = ("masked-lm", "contrastive", "split-order")
BATCHES = 2  # raise it when unlabelled batches come to be made otherwise of the same sentences


def prepare(
    tasks: Sequence[TaskInfo], settings: TaskSettings, *, mirror: str | None, download: bool, workers: int, say: Say
) -> None:
    """Prepare tables, the corpus of each suite, its tokenizer, and the tokens of all their texts."""
    from tasks.text.corpus import load_corpus, prepare_corpus
    from tasks.text.models import prepare_saved
    from tasks.text.table import load_table, prepare_table
    from tasks.text.tokenizer import prepare_tokenizer
    from tasks.text.tokens import cached_tokens

    text = settings.text
    for task in tasks:
        prepare_table(task, mirror=mirror, download=download)
    for suite in (suites()[name] for name in dict.fromkeys(task.suite for task in tasks)):
        prepare_corpus(suite, text, mirror=mirror, download=download, say=say)
        corpus = load_corpus(suite, text)
        if text.model:
            tokenizer = prepare_saved(text, suite=suite.name, mirror=mirror, download=download)
        else:
            tokenizer = prepare_tokenizer(
                text, corpus.meta["checksum"], corpus.sentences, suite=suite.name, mirror=mirror, download=download
            )
        say(f"tokenizer of {suite.name}: {tokenizer.vocabulary:,} tokens")
        cached_tokens(tokenizer, corpus.sentences)
        for task in (task for task in tasks if task.suite == suite.name):
            table = load_table(task, 0)
            for side in (table.first, table.second or (), *_sources(task, table).values()):
                cached_tokens(tokenizer, side)
            say(f"tokens of {task.id}: {len(table.first):,} examples")


def describe(task: TaskInfo, settings: TaskSettings, seed: int) -> ProblemSpec:
    """Return what determines the problem, from metadata alone."""
    from tasks.text.corpus import describe_corpus
    from tasks.text.table import describe_table

    assert task.text
    suite, text = suites()[task.suite], settings.text
    corpus, table = describe_corpus(suite, text), describe_table(task, seed)
    built, tokenizer = _described(text, corpus["checksum"], suite.name)
    # The lines are those of the file less those that the table holds out.
    domain = {"sha256": task.text.domain.sha256, "table": table["checksum"]} if task.text.domain else {}
    # Neither the corpus nor the encoder depends on it, so the stages that all tasks share do not.
    views = {"tokens": text.document_tokens} if text.document_tokens else {}
    return ProblemSpec(
        task=task,
        split_checksum=table["split_checksum"],
        labels={"checksum": table["checksum"], **settings.labels.model_dump(mode="json", exclude_defaults=True)},
        backbone=NAME,
        encoder={
            "name": NAME,
            "architecture": built,
            "tokenizer": tokenizer,
            "tokens": text.tokens,
        },
        corpus={
            **corpus,
            "planted_classes": suite.planted_classes,
            "batches": BATCHES,
            **text.model_dump(mode="json", include={"seed", "corpus_tokens", "mask_share", "temperature"}),
        },
        objectives=(*OBJECTIVES, "planted") if suite.planted_classes else OBJECTIVES,
        seed=seed,
        domain=domain | views if domain else {},
        own=views,
    )


def architecture(text: TextSettings, vocabulary: int) -> dict[str, Any]:
    """Return the configuration of a RoBERTa as ``config.json`` has it; with the published sizes, roberta-base's.

    Raises
    ------
    RequestError: if the width is not a multiple of the heads.
    """
    if text.width % text.heads:
        raise RequestError(f"text.width: expected a multiple of text.heads, {text.heads}, got {text.width}")
    return {
        "model_type": "roberta",
        "vocab_size": vocabulary,
        "num_hidden_layers": text.layers,
        "hidden_size": text.width,
        "intermediate_size": 4 * text.width,
        "num_attention_heads": text.heads,
        "max_position_embeddings": max(POSITIONS, text.tokens, text.corpus_tokens, text.document_tokens or 0) + 2,
        "type_vocab_size": 1,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.02,
        "hidden_dropout_prob": text.dropout,
        "attention_probs_dropout_prob": text.dropout,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }


def build(spec: ProblemSpec, settings: TaskSettings, device: str) -> tuple[Problem, TestKey]:
    """Load the problem; its test labels are sealed before it sees them."""
    import torch

    from tasks.labels import labels_of
    from tasks.text.corpus import load_corpus
    from tasks.text.problem import LabelledTexts, TextProblem
    from tasks.text.table import load_table
    from tasks.text.tokens import cached_tokens

    described = describe(spec.task, settings, spec.seed)
    # Shared stages have a seed of their own and keep the split of the cell that asked; the seed decides it here.
    if described != (replace(spec, split_checksum=described.split_checksum) if spec.task.paired else spec):
        raise RequestError(f"{spec.task.id}: expected the settings and data that the spec describes, got others")
    suite, text = suites()[spec.task.suite], settings.text
    corpus, table = load_corpus(suite, text), load_table(spec.task, spec.seed)
    tokenizer = _tokenizer(text, corpus.meta["checksum"], suite.name)
    sources = {"corpus": _unlabelled(suite, text, tokenizer, corpus.sentences)}
    for name, sentences in _sources(spec.task, table).items():
        sources[name] = _unlabelled(suite, text, tokenizer, sentences, name, spec.task.id)
    labels, key = labels_of(table, spec.task, settings.labels, spec.seed)
    examples = LabelledTexts(
        first=cached_tokens(tokenizer, table.first),
        second=cached_tokens(tokenizer, table.second) if table.second is not None else None,
        labels=labels,
        named={name: torch.tensor(rows) for name, rows in table.parts.items()} if len(table.parts) > 1 else {},
    )
    unlabelled = {name: len(texts.tokens) for name, texts in sources.items()}
    facts: Mapping[str, Any] = {"table": dict(table.counts), "corpus": dict(corpus.meta), "unlabelled": unlabelled}
    return TextProblem(spec, settings, device, tokenizer, sources, examples, facts), key


def read_weights(path: Path, suite: str, settings: TaskSettings) -> None:
    """Read the folder of a saved model; raises RequestError if it, or its tokenizer, does not fit."""
    from tasks.text.corpus import describe_corpus
    from tasks.text.encoder import build_encoder, load_encoder

    text = settings.text
    corpus = describe_corpus(suites()[suite], text)["checksum"]
    encoder = build_encoder(_described(text, corpus, suite)[0], 0)
    load_encoder(path, encoder, _tokenizer(text, corpus, suite), "text.model" if text.model else "")


def _described(text: TextSettings, corpus: str, suite: str) -> tuple[dict[str, Any], str]:
    """Return the architecture and the checksum of the tokenizer: those of a saved model, or those of the section."""
    from tasks.text.models import describe_saved
    from tasks.text.tokenizer import describe_tokenizer

    if text.model:
        saved = describe_saved(text, suite=suite)
        return saved.architecture(text), saved.checksum
    tokenizer = describe_tokenizer(text, corpus, suite=suite)
    return architecture(text, tokenizer["vocabulary"]), tokenizer["checksum"]


def _tokenizer(text: TextSettings, corpus: str, suite: str) -> Tokenizer:
    from tasks.text.models import load_saved
    from tasks.text.tokenizer import load_tokenizer

    return load_saved(text, suite=suite) if text.model else load_tokenizer(text, corpus, suite=suite)


def _sources(task: TaskInfo, table: TextTable) -> dict[str, tuple[str, ...]]:
    """Return the unlabelled texts of a task by the name of their source."""
    from tasks.text.corpus import domain_text, own_text

    assert task.text
    found = {"task": own_text(table)}
    return found | {"domain": domain_text(task)} if task.text.domain else found


def _unlabelled(
    suite: SuiteInfo, text: TextSettings, tokenizer: Tokenizer, sentences: Sequence[str], *purpose: str
) -> UnlabelledTexts:
    """Add the planted labels, which every run sees alike: they are drawn by row from the seed of the corpus."""
    from tasks.planted import planted_labels
    from tasks.text.problem import UnlabelledTexts
    from tasks.text.tokens import cached_tokens

    planted = planted_labels(suite.planted_classes, len(sentences), text.seed, *purpose)
    return UnlabelledTexts(cached_tokens(tokenizer, sentences), planted)


BACKBONES.register(NAME)(
    Backbone(
        name=NAME,
        title="RoBERTa, or another encoder of transformers, on text",
        modality="text",
        inputs="text",
        prepare=prepare,
        describe=describe,
        build=build,
        usual=True,
        read_weights=read_weights,
    )
)
