"""Text with the objectives as TapWeight weighs them (arXiv 2410.10006, section 4.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import RequestError
from tasks.labels import LABELLED, Labels, Split
from tasks.losses import masked_loss
from tasks.modes import evaluating
from tasks.problem import Batch, BatchStream, Problem, Scores, Source, TestKey
from tasks.randomness import generator
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream, pool_of
from tasks.text import objectives
from tasks.text.batches import SINGLE, BucketedStream, Framing, labelled_rows, unlabelled_batch
from tasks.text.encoder import TextEncoder, build_encoder, configuration, load_encoder, masked_lm_head
from tasks.text.tokenizer import Tokenizer
from tasks.text.tokens import Tokens

SCORE_BATCH = 128  # examples scored at once; no effect on the scores
EPSILON = 1e-12  # of the normalisation in masked LM's head, where the configuration names none (Devlin et al. 2019)


@dataclass(frozen=True)
class UnlabelledTexts:
    """N unlabelled sentences, and planted labels (N,) where there are any."""

    tokens: Tokens
    planted: Tensor | None = None


@dataclass(frozen=True)
class LabelledTexts:
    """The N examples of a task: texts or pairs and labels; the rows of each test file where there are several."""

    first: Tokens
    second: Tokens | None
    labels: Labels
    named: Mapping[str, Tensor]


class TextProblem(Problem):
    """The problem of one task. Letters as in ``Problem``; l is the padded length of a batch.

    Objectives in weight order: ``masked-lm``, ``contrastive``, ``split-order``, and ``planted`` in suites that
    plant labels drawn at random. ``sources`` are the unlabelled sentences by the name of their source.
    """

    def __init__(
        self,
        spec: ProblemSpec,
        settings: TaskSettings,
        device: str,
        tokenizer: Tokenizer,
        sources: Mapping[str, UnlabelledTexts],
        examples: LabelledTexts,
        facts: Mapping[str, Any],
    ) -> None:
        self.spec, self.device = spec, torch.device(device)
        self._text, self._tokenizer, self._facts = settings.text, tokenizer, dict(facts)
        self._sources, self._examples = sources, examples

    def encoder(self) -> TextEncoder:
        return build_encoder(self._architecture, self.spec.seed).to(self.device)

    def load_checkpoint(self, path: Path) -> TextEncoder:
        encoder = self.encoder()
        load_encoder(path, encoder, self._tokenizer, "text.model" if self._text.model else "")
        return encoder

    def load_heads(self, path: Path) -> nn.ModuleDict:
        """Return fresh heads of the objectives, masked LM's with the weights of the folder if it holds such a head.

        Raises
        ------
        RequestError: if the folder has no weights that can be read, or its head does not fit.
        """
        heads = self.objective_heads()
        if found := masked_lm_head(path):
            try:
                heads["masked-lm"].load_state_dict(found)
            except RuntimeError as error:
                found_out = " ".join(str(error).split())[:160]
                raise RequestError(
                    f"checkpoint {path}: expected a masked-LM head that fits, got another ({found_out})"
                ) from error
        return heads

    def objective_heads(self) -> nn.ModuleDict:
        width, vocabulary = self._config.hidden_size, self._config.vocab_size
        embedding = getattr(self._config, "embedding_size", width)
        epsilon = getattr(self._config, "layer_norm_eps", EPSILON)
        draws = {name: generator(self.spec.seed, "head", name) for name in self.objectives}
        heads: dict[str, nn.Module] = {
            "masked-lm": objectives.MaskedLMHead(width, embedding, vocabulary, epsilon, draws["masked-lm"]),
            "contrastive": objectives.Projection(width, draws["contrastive"]),
            "split-order": objectives.ClassificationHead(width, 2, self._text.dropout, draws["split-order"]),
        }
        if "planted" in self.objectives:
            heads["planted"] = objectives.linear(width, self.spec.corpus["planted_classes"], draws["planted"])
        return nn.ModuleDict(heads).to(self.device)

    def objective_terms(
        self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Collection[str] = ()
    ) -> list[Tensor]:
        """Return the n losses from one pass over 4b sequences.

        They are: the masked sentences; the sentences as they stand, twice, since dropout must differ between
        the two passes of the contrastive loss; the sentences in two halves. No two objectives can share a
        sequence: each changes what the encoder reads, or needs the unchanged sentence. ``planted`` reads the
        first pass of the unchanged sentences. SimCSE's and TapWeight's code mask both copies of a sentence, so their
        masked-LM loss has twice as many places and the same expectation.
        """
        assert isinstance(encoder, TextEncoder)
        views = [("masked", "masked", {"masked-lm"}), ("one", "plain", {"contrastive", "planted"}),
                 ("other", "plain", {"contrastive"}), ("halves", "halves", {"split-order"})]  # fmt: skip
        needed = {name: view for name, view, readers in views if readers & set(self.objectives) - set(idle)}
        zero = encoder.words.new_zeros(())
        if not needed:
            return [zero for _ in self.objectives]
        passed = encoder(torch.cat([batch[view] for view in needed.values()])).chunk(len(needed))
        states = dict(zip(needed, passed, strict=True))
        losses = dict.fromkeys(idle, zero)
        if "masked-lm" not in idle:
            losses["masked-lm"] = objectives.masked_lm(
                heads["masked-lm"], encoder.words, states["masked"], batch["predicted"], batch["targets"]
            )
        if "contrastive" not in idle:
            one, other = (heads["contrastive"](states[name][:, 0]) for name in ("one", "other"))
            losses["contrastive"] = objectives.contrastive(one, other, self._text.temperature)
        if "split-order" not in idle:
            losses["split-order"] = objectives.split_order(heads["split-order"](states["halves"][:, 0]), batch["order"])
        if "planted" in self.objectives and "planted" not in idle:
            losses["planted"] = functional.cross_entropy(heads["planted"](states["one"][:, 0]), batch["planted"])
        return [losses[name] for name in self.objectives]

    def downstream_head(self) -> nn.Module:
        draws = generator(self.spec.seed, "downstream head")
        width, outputs = self._config.hidden_size, self.task.outputs
        return objectives.ClassificationHead(width, outputs, self._text.dropout, draws).to(self.device)

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        """Return the states of the first token, shape (b, d)."""
        states: Tensor = encoder(batch["tokens"])
        return states[:, 0]

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return masked_loss(outputs, batch["labels"], self.task.kind)

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        """Return the batches of ``source``; all but those of validation hold texts of about one length.

        Raises
        ------
        RequestError: if there is no such source, it is empty, or the batch is too small.
        """
        if source not in LABELLED:
            return self._unlabelled_stream(source, batch_size, purpose)
        seed, labels = self.spec.seed, self._examples.labels
        rows, targets = labels.rows(source), labels.targets(source).float()

        def make(chosen: Tensor, _: torch.Generator) -> Batch:
            return {"tokens": self._tokens(rows[chosen]), "labels": targets[chosen].to(self.device)}

        places = torch.arange(len(rows))
        if source == "train":
            return BucketedStream(batch_size, places, seed, purpose, make, self._lengths(rows))
        return ShuffledStream(batch_size, places, seed, purpose, make)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Split = "val", key: TestKey | None = None) -> Scores:
        """Evaluate as :class:`Problem` says; of several test files also each by itself, as ``METRIC[FILE]``."""
        labels = self._examples.labels
        outputs = self._outputs(encoder, head, labels.parts[split])
        scores = labels.score(outputs, split, key)
        for name, part in self._examples.named.items() if split == "test" else ():
            found = labels.score(outputs, split, key, part)
            scores |= {f"{metric}[{name}]": value for metric, value in found.items()}
        return scores

    def facts(self) -> dict[str, Any]:
        """Counts of table and corpus, and of the texts that are longer than the encoder reads."""
        limit = self._text.tokens
        longer = {name: int((self._lengths(part) > limit).sum()) for name, part in self._examples.labels.parts.items()}
        return {**self._facts, "cut": longer}

    @cached_property
    def _config(self) -> Any:
        return configuration(self._architecture)

    @property
    def _architecture(self) -> Mapping[str, Any]:
        architecture: Mapping[str, Any] = self.spec.encoder["architecture"]
        return architecture

    def _unlabelled_stream(self, source: str, batch_size: int, purpose: str) -> BatchStream:
        if batch_size < 2:
            raise RequestError(f"batch_size: expected at least 2, as sentences are told apart, got {batch_size}")
        texts, limit = pool_of(self._sources, source, purpose), self._text.corpus_tokens
        if source != "corpus":
            limit = self._text.document_tokens or limit
        lengths = torch.from_numpy(texts.tokens.lengths).clamp(max=Framing(self._tokenizer, limit).room)
        places = torch.arange(len(texts.tokens))
        return BucketedStream(batch_size, places, self.spec.seed, purpose, partial(self._views, texts, limit), lengths)

    def _views(self, texts: UnlabelledTexts, limit: int, rows: Tensor, draws: torch.Generator) -> Batch:
        framing = Framing(self._tokenizer, limit)
        batch = dict(unlabelled_batch(texts.tokens, rows, framing, self._text.mask_share, draws))
        if texts.planted is not None:
            batch["planted"] = texts.planted[rows]
        return {name: values.to(self.device) for name, values in batch.items()}

    def _tokens(self, rows: Tensor) -> Tensor:
        framing = Framing(self._tokenizer, self._text.tokens)
        return labelled_rows(self._examples.first, self._examples.second, rows, framing).to(self.device)

    def _lengths(self, rows: Tensor) -> Tensor:
        """Return the tokens of examples before they are cut, special ones included, shape (N,)."""
        lengths = self._examples.first.lengths[rows.numpy()] + SINGLE
        if self._examples.second is not None:
            lengths = lengths + self._examples.second.lengths[rows.numpy()] + self._tokenizer.separators
        return torch.from_numpy(lengths)

    def _outputs(self, encoder: nn.Module, head: nn.Module, rows: Tensor) -> NDArray[np.float64]:
        """Return the head's outputs in evaluation mode, (N, t); examples of one length go together."""
        order = self._lengths(rows).argsort(stable=True)
        with evaluating(encoder, head):
            parts = [head(encoder(self._tokens(rows[part]))[:, 0]).double().cpu() for part in order.split(SCORE_BATCH)]
        outputs: NDArray[np.float64] = torch.cat(parts)[order.argsort()].numpy()
        return outputs
