"""Folders that are no encoders of text, or do not fit: one line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from tasks.backbones.roberta import read_weights
from tests.tasks.text.saved_models import (
    altered,
    made,
    prepared,
    save,
    settings,
    word_pieces,
)


def wrong(model: Path | str, said: str, **changes: Any) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        prepared(model, **changes)
    assert "\n" not in str(caught.value)
    assert "text." in str(caught.value)


def test_what_is_no_folder_of_a_model_is_refused(saved: Callable[[str], Path], tmp_path: Path) -> None:
    wrong(tmp_path / "gone", r"text\.model: expected the folder of a saved model, hf:NAME .*, got .*gone: no folder")
    bare = altered(saved("bert"), tmp_path / "bare")
    (bare / "config.json").unlink()
    wrong(bare, r"got one without config\.json")
    wrong(altered(saved("bert"), tmp_path / "unknown", model_type="nothing-known"), "a model that transformers knows")
    without = altered(saved("bert"), tmp_path / "without")
    (without / "tokenizer.json").unlink()
    wrong(without, r"expected a tokenizer, tokenizer\.json or .*, got none")
    (without / "tokenizer.json").write_text("{", encoding="utf-8")
    wrong(without, r"expected a tokenizer that transformers reads .*\)$")
    pieces = altered(saved("bert"), tmp_path / "pieces", model_type="deberta-v2")
    for path in pieces.glob("*token*.json"):
        path.unlink()
    (pieces / "spm.model").write_bytes(b"nothing")
    wrong(pieces, "a sentencepiece model needs the packages sentencepiece and protobuf$")
    wrong(altered(saved("bert"), tmp_path / "odd", num_attention_heads=3), "expected an encoder that AutoModel builds")


def test_a_tokenizer_that_does_not_fit_is_refused(saved: Callable[[str], Path], tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    size = word_pieces().get_vocab_size()
    small = altered(saved("bert"), tmp_path / "small", vocab_size=size - 1)
    wrong(small, rf"a tokenizer of at most {size - 1} tokens, the model's vocab_size, got one of {size}")
    wrong(
        altered(saved("bert"), tmp_path / "pad", pad_token_id=5),
        "expected pad_token_id 0 as the tokenizer has it, got 5",
    )
    roles = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    for missing, said in (("mask_token", "mask_token"), ("cls_token", "cls_token or bos_token")):
        folder = altered(saved("bert"), tmp_path / missing)
        kept = {role: token for role, token in (roles | {"mask_token": "[MASK]"}).items() if role != missing}
        PreTrainedTokenizerFast(tokenizer_object=word_pieces(), **kept).save_pretrained(folder)
        wrong(folder, rf"text\.model .*{missing}: expected a tokenizer with a {said}, got one without")


def test_what_is_no_encoder_of_text_is_refused(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel

    folder = save("bert", tmp_path / "model")
    config = AutoConfig.for_model("gpt2", vocab_size=200, n_embd=16, n_layer=1, n_head=2)
    AutoModel.from_config(config).save_pretrained(folder)
    wrong(folder, "an encoder whose first state depends on all tokens and on no padding, got gpt2")
    for kind in ("t5", "vit"):
        AutoConfig.for_model(kind).save_pretrained(folder)
        wrong(folder, f"expected an encoder of text, got {kind}")


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
def test_texts_longer_than_the_positions_are_refused(kind: str, saved: Callable[[str], Path]) -> None:
    most = 64  # MPNet's begin behind the padding index, as RoBERTa's do, so it has two rows more
    for name in ("tokens", "corpus_tokens", "document_tokens"):
        prepared(saved(kind), **{name: most})
        wrong(saved(kind), rf"text\.{name}: expected at most {most}, the positions of .*, got 70", **{name: 70})


def test_weights_of_another_architecture_are_refused(saved: Callable[[str], Path], tmp_path: Path) -> None:
    problem = made(saved("bert"))
    with pytest.raises(RequestError, match=r"model_type 'bert' as text\.model has it, got 'distilbert'"):
        problem.load_checkpoint(saved("distilbert"))
    wide = save("bert", tmp_path / "wide", hidden_size=32)
    with pytest.raises(RequestError, match=r"hidden_size 16 as text\.model has it, got 32") as caught:
        problem.load_checkpoint(wide)
    assert "\n" not in str(caught.value)
    read_weights(saved("bert"), "demo", settings(saved("bert")))
    with pytest.raises(RequestError, match="hidden_size 16"):
        read_weights(wide, "demo", settings(saved("bert")))
