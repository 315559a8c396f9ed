"""Encoders of the transformers library: built from a seed, or read from a folder of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.errors import RequestError
from tasks.randomness import derive
from tasks.text.tokenizer import Tokenizer

FREE = ("hidden_dropout_prob", "attention_probs_dropout_prob")  # no property of weights
SETTINGS = {
    "vocab_size": "the tokenizer",
    "num_hidden_layers": "text.layers",
    "hidden_size": "text.width",
    "intermediate_size": "four times text.width",
    "num_attention_heads": "text.heads",
    "max_position_embeddings": "text.tokens and RoBERTa's 512 positions",
}


class TextEncoder(nn.Module):
    """Tokens (b, l) to the states of the last layer (b, l, d). Padding is never attended to.

    The fused attention kernels have neither a forward mode nor a second derivative. Where a pass needs one,
    attention is put together from simple operations instead. On a CPU these also serve whatever drops
    units of attention, so passes of all kinds drop the same ones; the fused kernels of a GPU draw their
    own, and there a forward-mode pass drops other units of attention than a training pass does.
    """

    def __init__(self, model: nn.Module, pad: int) -> None:
        super().__init__()
        self.model, self.pad = model, pad

    @property
    def words(self) -> Tensor:
        """The word embeddings (vocabulary, e), in use: in a functional call those that it was given."""
        weight: Tensor = self.model.get_input_embeddings().weight  # type: ignore[operator]
        return weight

    def forward(self, tokens: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH) if self._differentiated_otherwise() else nullcontext():
            states: Tensor = self.model(input_ids=tokens, attention_mask=tokens != self.pad).last_hidden_state
        return states

    def _differentiated_otherwise(self) -> bool:
        """Whether this pass is one in forward mode, or within two transforms of ``torch.func``."""
        nested = (torch._C._functorch.maybe_current_level() or 0) > 1
        return nested or any(forward_ad.unpack_dual(p).tangent is not None for p in self.model.parameters())


def build_encoder(architecture: Mapping[str, Any], seed: int) -> TextEncoder:
    """Return an encoder without pooler, its weights drawn from the seed alone.

    Parameters
    ----------
    architecture: a configuration as the ``config.json`` of a model folder has it, with ``model_type``.

    Raises
    ------
    RequestError: if the width is not a multiple of the heads.
    """
    from transformers import AutoConfig, AutoModel

    width, heads = architecture["hidden_size"], architecture["num_attention_heads"]
    if width % heads:
        raise RequestError(f"text.width: expected a multiple of text.heads, {heads}, got {width}")
    with torch.random.fork_rng(devices=[]):  # the library draws from the global generator
        torch.manual_seed(derive(seed, "encoder"))
        model = AutoModel.from_config(AutoConfig.for_model(**architecture))  # type: ignore[no-untyped-call]
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # reads the first token's state, as our heads do by themselves
    return TextEncoder(model, architecture["pad_token_id"]).train()


def load_encoder(folder: Path, encoder: TextEncoder, tokenizer: Tokenizer) -> None:
    """Copy the weights of a model folder, as ``save_pretrained`` writes it, into ``encoder``.

    The folder holds ``config.json``, ``model.safetensors`` (or its shards, or ``pytorch_model.bin``), and
    perhaps the tokenizer. Heads of the stored model are left out. Nothing is changed unless everything fits.

    Raises
    ------
    RequestError: if the folder is none, or its configuration, tokenizer or weights do not fit.
    """
    _check_configuration(folder, encoder)
    _check_tokenizer(folder, tokenizer)
    found, expected = read_weights(folder), encoder.model.state_dict()
    first = next(iter(expected))
    prefix = next((name.removesuffix(first) for name in found if name.endswith(first)), "")
    for name, target in expected.items():
        tensor = found.get(prefix + name)
        if tensor is None or tensor.shape != target.shape:
            got = "none" if tensor is None else f"one of shape {tuple(tensor.shape)}"
            raise RequestError(f"checkpoint {folder}: expected {name} of shape {tuple(target.shape)}, got {got}")
    encoder.model.load_state_dict({name: found[prefix + name] for name in expected})


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a model folder.

    Raises
    ------
    RequestError: if it holds none, or they cannot be read without unpickling objects.
    """
    index, weights = folder / "model.safetensors.index.json", folder / "model.safetensors"
    pickled = folder / "pytorch_model.bin"
    try:
        if weights.is_file():
            return load_file(weights)
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            return {name: one for shard in shards for name, one in load_file(folder / Path(shard).name).items()}
        if pickled.is_file():
            content = torch.load(pickled, map_location="cpu", weights_only=True)
            if isinstance(content, dict) and all(isinstance(one, Tensor) for one in content.values()):
                return content
            raise ValueError("something else than tensors")
    # A damaged file can raise almost anything: unpickling, archive, header and end-of-file errors.
    except Exception as error:
        raise RequestError(
            f"checkpoint {folder}: expected weights that can be read without unpickling objects, got files that "
            f"cannot ({type(error).__name__})"
        ) from error
    raise RequestError(
        f"checkpoint {folder}: expected weights, model.safetensors or pytorch_model.bin, got a folder without; "
        "get them, or have the model saved with save_pretrained"
    )


def _check_configuration(folder: Path, encoder: TextEncoder) -> None:
    from transformers import AutoConfig

    path = folder / "config.json"
    if not path.is_file():
        raise RequestError(
            f"checkpoint {folder}: expected a folder with config.json and model.safetensors, got "
            f"{'one without config.json' if folder.is_dir() else 'no folder'}"
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        config = AutoConfig.for_model(**stored)
    except Exception as error:  # of JSON, of an unknown model_type, of values that the library refuses
        raise RequestError(
            f"checkpoint {folder}: expected the config.json of a model that transformers knows, got another "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
    own = encoder.model.config
    for key in ("model_type", *SETTINGS, "type_vocab_size", "hidden_act", "layer_norm_eps", "pad_token_id"):
        expected, got = getattr(own, key, None), getattr(config, key, None)
        if expected != got:
            source = f" as {SETTINGS[key]} has it" if key in SETTINGS else ""
            hint = "; the tokenizer does not fit the encoder" if key == "vocab_size" else ""
            raise RequestError(f"checkpoint {folder}: expected {key} {expected!r}{source}, got {got!r}{hint}")


def _check_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Raise RequestError if the folder has a tokenizer, and its tokens have other numbers than ours."""
    whole, vocabulary = folder / "tokenizer.json", folder / "vocab.json"
    try:
        if whole.is_file():
            from tokenizers import Tokenizer as Backend

            numbers = Backend.from_str(whole.read_text(encoding="utf-8")).get_vocab()
        elif vocabulary.is_file():
            numbers = json.loads(vocabulary.read_text(encoding="utf-8"))
        else:
            return
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise RequestError(
            f"checkpoint {folder}: expected a readable tokenizer, got a damaged one ({str(error)[:120]})"
        ) from error
    if numbers != tokenizer.backend.get_vocab():
        raise RequestError(
            f"checkpoint {folder}: expected the tokenizer that text.tokenizer names, of {tokenizer.vocabulary} tokens, "
            f"got one of {len(numbers)} with other tokens or numbers; the tokenizer does not fit the encoder"
        )
