"""Encoders of the transformers library: built from a seed, or read from a folder of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext
from inspect import signature
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

# Masked-LM heads by their names in files, for those of RoBERTa: RoBERTa's and MPNet's, BERT's, DistilBERT's.
HEADS = {
    "lm_head.": "",
    "cls.predictions.transform.dense.": "dense.",
    "cls.predictions.transform.LayerNorm.": "layer_norm.",
    "cls.predictions.bias": "bias",
    "vocab_transform.": "dense.",
    "vocab_layer_norm.": "layer_norm.",
    "vocab_projector.bias": "bias",
}
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

    ``separator`` is the token that ends the first text of a pair, for models that tell the two by token types.

    The fused attention kernels have neither a forward mode nor a second derivative. Where a pass needs one,
    attention is put together from simple operations instead. On a CPU these also serve whatever drops
    units of attention, so passes of all kinds drop the same ones; the fused kernels of a GPU draw their
    own, and there a forward-mode pass drops other units of attention than a training pass does.
    """

    def __init__(self, model: nn.Module, pad: int, separator: int | None = None) -> None:
        super().__init__()
        self.model, self.pad, self.separator = model, pad, separator

    @property
    def words(self) -> Tensor:
        """The word embeddings (vocabulary, e), in use: in a functional call those that it was given."""
        weight: Tensor = self.model.get_input_embeddings().weight  # type: ignore[operator]
        return weight

    def forward(self, tokens: Tensor) -> Tensor:
        present = tokens != self.pad
        types = {} if self.separator is None else {"token_type_ids": self._types(tokens, self.separator) * present}
        with sdpa_kernel(SDPBackend.MATH) if self._differentiated_otherwise() else nullcontext():
            states: Tensor = self.model(input_ids=tokens, attention_mask=present, **types).last_hidden_state
        return states

    @staticmethod
    def _types(tokens: Tensor, separator: int) -> Tensor:
        """Return 0 up to the first separator and with it, 1 behind it, shape (b, l)."""
        ends = (tokens == separator).long()
        return (ends.cumsum(dim=1) > ends).long()

    def _differentiated_otherwise(self) -> bool:
        """Whether this pass is one in forward mode, or within two transforms of ``torch.func``."""
        nested = (torch._C._functorch.maybe_current_level() or 0) > 1
        return nested or any(forward_ad.unpack_dual(p).tangent is not None for p in self.model.parameters())


def build_encoder(architecture: Mapping[str, Any], seed: int) -> TextEncoder:
    """Return an encoder without pooler, its weights drawn from the seed alone.

    Parameters
    ----------
    architecture: a configuration as the ``config.json`` of a model folder has it, with ``model_type``, and with
        ``sep_token_id`` where the texts of a pair have token types of their own.
    """
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):  # the library draws from the global generator
        torch.manual_seed(derive(seed, "encoder"))
        model = AutoModel.from_config(configuration(architecture))  # type: ignore[no-untyped-call]
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # reads the first token's state, as our heads do by themselves
    typed = (getattr(model.config, "type_vocab_size", 0) or 0) > 1
    typed = typed and "token_type_ids" in signature(model.forward).parameters
    return TextEncoder(model, architecture["pad_token_id"], architecture.get("sep_token_id") if typed else None).train()


def configuration(architecture: Mapping[str, Any]) -> Any:
    """Return the configuration object of the library, which knows the sizes of all architectures by one name each."""
    from transformers import AutoConfig

    return AutoConfig.for_model(**architecture)  # type: ignore[no-untyped-call]


def load_encoder(folder: Path, encoder: TextEncoder, tokenizer: Tokenizer, setting: str = "") -> None:
    """Copy the weights of a model folder, as ``save_pretrained`` writes it, into ``encoder``.

    The folder holds ``config.json``, ``model.safetensors`` (or its shards, or ``pytorch_model.bin``), and
    perhaps the tokenizer. Heads of the stored model are left out. Nothing is changed unless everything fits.
    ``setting`` is the one that architecture and tokenizer come from, if it is one, for messages.

    Raises
    ------
    RequestError: if the folder is none, or its configuration, tokenizer or weights do not fit.
    """
    _check_configuration(folder, encoder, setting)
    _check_tokenizer(folder, tokenizer, setting or "text.tokenizer")
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
    """Return all tensors of a model folder; the scale and shift of a normalisation are called weight and bias.

    Raises
    ------
    RequestError: if it holds none, or they cannot be read without unpickling objects.
    """
    old = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}  # BERT as first published
    found = {}
    for name, tensor in _read_files(folder).items():
        ending = next((ending for ending in old if name.endswith(ending)), "")
        found[name.removesuffix(ending) + old.get(ending, "")] = tensor
    return found


def _read_files(folder: Path) -> dict[str, Tensor]:
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


def masked_lm_head(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of the masked-LM head that a folder holds, by the names of RoBERTa's; none: nothing.

    The decoder is tied to the word embeddings, and left out where a file keeps it.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in read_weights(folder).items():
        for theirs, ours in HEADS.items():
            if name.startswith(theirs):
                found[ours + name.removeprefix(theirs)] = tensor
    return {name: tensor for name, tensor in found.items() if not name.startswith("decoder.")}


def read_configuration(folder: Path, where: str) -> tuple[dict[str, Any], Any]:
    """Return the content of a folder's ``config.json`` and the library's object of it; ``where`` begins messages.

    Raises
    ------
    RequestError: if there is none, or none that the library knows.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise RequestError(
            f"{where}: expected a folder with config.json and model.safetensors, got "
            f"{'one without config.json' if folder.is_dir() else 'no folder'}"
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored, configuration(stored)
    except Exception as error:  # of JSON, of an unknown model_type, of values that the library refuses
        raise RequestError(
            f"{where}: expected the config.json of a model that transformers knows, got another "
            f"({' '.join(str(error).split())[:120]})"
        ) from error


def _check_configuration(folder: Path, encoder: TextEncoder, setting: str) -> None:
    _, config = read_configuration(folder, f"checkpoint {folder}")
    own = encoder.model.config
    for key in ("model_type", *SETTINGS, "type_vocab_size", "hidden_act", "layer_norm_eps", "pad_token_id"):
        expected, got = getattr(own, key, None), getattr(config, key, None)
        if expected != got and not (setting and key == "pad_token_id" and got is None):  # then the tokenizer's
            source = f" as {setting or SETTINGS.get(key)} has it" if setting or key in SETTINGS else ""
            hint = "; the tokenizer does not fit the encoder" if key == "vocab_size" else ""
            if key == "model_type" and not setting:
                hint = f"; with --set text.model={folder} its architecture and tokenizer are taken too"
            raise RequestError(f"checkpoint {folder}: expected {key} {expected!r}{source}, got {got!r}{hint}")


def _check_tokenizer(folder: Path, tokenizer: Tokenizer, setting: str) -> None:
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
    if not numbers.items() <= tokenizer.backend.get_vocab().items():  # vocab.json lacks tokens that were added
        raise RequestError(
            f"checkpoint {folder}: expected the tokenizer that {setting} names, of {tokenizer.vocabulary} tokens, "
            f"got one of {len(numbers)} with other tokens or numbers; the tokenizer does not fit the encoder"
        )
