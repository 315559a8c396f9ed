"""Tiny random models with a tokenizer of word pieces, in folders as transformers saves them."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tasks.backbones.roberta import build, describe, prepare
from tasks.catalogue import get
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec
from tasks.text.problem import TextProblem
from tests.tasks.protocol import task_settings, text_settings
from tests.tasks.text.small import sentences

TASK = "demo:mood"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
KINDS: dict[str, dict[str, Any]] = {
    "bert": SIZES | {"max_position_embeddings": 64},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
    "electra": SIZES | {"embedding_size": 8},
    "mpnet": SIZES | {"max_position_embeddings": 66, "pad_token_id": 0},
}
each = pytest.mark.parametrize("kind", ["bert", "distilbert"])


@cache
def word_pieces() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=list(SPECIAL), show_progress=False)
    backend.train_from_iterator(sentences(300), trainer)
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend


def save(kind: str, folder: Path, *, masked: bool = True, vocabulary: int | None = None, **changes: Any) -> Path:
    """A random model of the kind with its tokenizer, as the library saves them."""
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, BertTokenizer

    names = {f"{role}_token": token for role, token in zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True)}
    BertTokenizer(tokenizer_object=word_pieces(), vocab=word_pieces().get_vocab(), **names).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(8)
        size = vocabulary or word_pieces().get_vocab_size()
        config = AutoConfig.for_model(kind, vocab_size=size, **KINDS[kind] | changes)
        model = (AutoModelForMaskedLM if masked else AutoModel).from_config(config)
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
    return folder


def altered(source: Path, folder: Path, **changes: Any) -> Path:
    """A copy with other values in its config.json."""
    shutil.copytree(source, folder)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def settings(model: Path | str, **changes: Any) -> TaskSettings:
    return task_settings().model_copy(update={"text": text_settings(model=str(model), **changes)})


def prepared(model: Path | str, **changes: Any) -> ProblemSpec:
    chosen = settings(model, **changes)
    prepare([get(TASK)], chosen, mirror=None, download=False, workers=1, say=lambda _: None)
    return describe(get(TASK), chosen, 0)


def made(model: Path | str, **changes: Any) -> TextProblem:
    problem, _ = build(prepared(model, **changes), settings(model, **changes), "cpu")
    assert isinstance(problem, TextProblem)
    return problem


def reference(folder: Path, tokens: Tensor, *, typed: bool) -> Tensor:
    from transformers import AutoModel

    types = {"token_type_ids": torch.tensor([[0] * 5 + [1] * 3 + [0] * 2])} if typed else {}
    model = AutoModel.from_pretrained(folder).eval()
    states: Tensor = model(input_ids=tokens, attention_mask=(tokens != 0).long(), **types).last_hidden_state
    return states
