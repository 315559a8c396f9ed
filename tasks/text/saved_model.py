"""What is read of the folder of a saved model: its architecture, and the tokenizer that belongs to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from bench.errors import RequestError
from bench.files import digest
from tasks.settings import TextSettings
from tasks.text.saved_tokenizer import Roles, content_of, read_backend, roles_of

if TYPE_CHECKING:
    from torch import nn

    from tasks.text.encoder import TextEncoder

SETTING = "text.model"
# Keys of config.json that are no property of the encoder; those about dropout are the protocol's.
NO_PROPERTY = (
    "architectures", "auto_map", "attn_implementation", "transformers_version", "torch_dtype", "dtype", "use_cache",
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params", "return_dict",
    "output_attentions", "output_hidden_states", "gradient_checkpointing", "tie_word_embeddings",
    "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id",
)  # fmt: skip
OF_HEADS = ("classifier", "cls", "pooler", "qa", "seq_classif", "summary")  # dropout that the encoder has not


class Saved(BaseModel):
    """What is stored of a folder beside its tokenizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checksum: str  # of the tokenizer
    roles: Roles
    config: dict[str, Any]  # as config.json has it, less what is no property of the encoder
    dropout: tuple[str, ...]  # keys that text.dropout fills
    positions: int | None  # the longest sequence; none: any length

    def architecture(self, text: TextSettings) -> dict[str, Any]:
        """Return the configuration that the encoder is built from.

        Raises
        ------
        RequestError: if the section asks for longer sequences than the model has positions.
        """
        for name in ("tokens", "corpus_tokens", "document_tokens"):
            length = getattr(text, name) or 0
            if self.positions is not None and length > self.positions:
                raise RequestError(
                    f"text.{name}: expected at most {self.positions}, the positions of {SETTING} {text.model}, "
                    f"got {length}"
                )
        return self.config | dict.fromkeys(self.dropout, text.dropout)


def read_saved(folder: Path) -> tuple[Saved, str]:
    """Return what is to be stored of a folder, and its tokenizer as ``tokenizer.json`` has it.

    Raises
    ------
    RequestError: if the folder holds no encoder of text, no tokenizer, or two that do not fit.
    """
    from tasks.text.encoder import build_encoder, read_configuration

    where = f"{SETTING} {folder}"
    stored, config = read_configuration(folder, where)
    if config.is_encoder_decoder or not (hasattr(config, "vocab_size") and hasattr(config, "hidden_size")):
        raise RequestError(f"{where}: expected an encoder of text, got {config.model_type}")
    backend, tokens = read_backend(folder, where)
    roles = roles_of(backend, tokens, where)
    if roles.vocabulary > config.vocab_size:
        raise RequestError(
            f"{where}: expected a tokenizer of at most {config.vocab_size} tokens, the model's vocab_size, "
            f"got one of {roles.vocabulary}"
        )
    if config.pad_token_id not in (None, roles.pad):
        raise RequestError(
            f"{where}: expected pad_token_id {roles.pad} as the tokenizer has it, got {config.pad_token_id}"
        )
    kept = {
        key: value
        for key, value in stored.items()
        if key not in NO_PROPERTY and not key.startswith("_") and "dropout" not in key
    } | {"pad_token_id": roles.pad}
    if roles.types:
        kept["sep_token_id"] = roles.last
    dropout = tuple(
        key
        for key, value in sorted(config.to_dict().items())
        if "dropout" in key and type(value) in (int, float) and not key.startswith(OF_HEADS)
    )
    try:
        encoder = build_encoder(kept, 0)
        good = _reads_both_ways(encoder.eval(), config, roles)
    except Exception as error:  # of the library, of values that make no model
        found = " ".join(str(error).split())[:120]
        raise RequestError(f"{where}: expected an encoder that AutoModel builds, got another ({found})") from error
    if not good:
        raise RequestError(
            f"{where}: expected an encoder whose first state depends on all tokens and on no padding, "
            f"got {config.model_type}"
        )
    content = backend.to_str()
    checksum, positions = checksum_of(content, roles), _positions(encoder.model)
    return Saved(checksum=checksum, roles=roles, config=kept, dropout=dropout, positions=positions), content


def _reads_both_ways(encoder: TextEncoder, config: Any, roles: Roles) -> bool:
    """Whether the first state depends on a later token, but not on padding, and has the width that heads read."""
    import torch

    one, other = [number for number in range(roles.vocabulary) if number not in roles.special][:2]
    rows = [[roles.first, one, end, roles.last] for end in (one, other)]
    padded = torch.tensor([[*rows[0], *[roles.pad] * 4]])
    with torch.no_grad():
        states, same = encoder(torch.tensor(rows)), encoder(padded)
    if states.shape != (2, 4, config.hidden_size):
        return False
    return not torch.equal(states[0, 0], states[1, 0]) and torch.allclose(states[0, 0], same[0, 0], atol=1e-4)


def _positions(model: nn.Module) -> int | None:
    """Return how many tokens the model has positions for: RoBERTa's begin behind the padding index."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.num_embeddings - module.padding_idx - 1)  # type: ignore[operator, arg-type]
    positions = getattr(model.config, "max_position_embeddings", None) or 0
    return int(positions) if int(positions) > 0 else None  # type: ignore[call-overload]


def checksum_of(content: str, roles: Roles) -> str:
    """Return a checksum of all that decides the numbers of a text, from the content of a ``tokenizer.json``."""
    return digest({"tokenizer": content_of(content), "roles": roles.model_dump(mode="json")})
