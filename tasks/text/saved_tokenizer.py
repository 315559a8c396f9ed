"""The tokenizer of a saved model: its special tokens by the parts they play, and how it frames a pair of texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from bench.errors import RequestError
from tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

# Where the attributes of a tokenizer of transformers name the token for a part, in the order of looking.
PARTS = {
    "first": ("cls_token", "bos_token"),
    "last": ("sep_token", "eos_token"),
    "pad": ("pad_token",),
    "mask": ("mask_token",),
}
FILES = ("tokenizer.json", "vocab.txt", "vocab.json")  # or a sentencepiece model
CONTENT = ("added_tokens", "normalizer", "pre_tokenizer", "model")  # of tokenizer.json, what decides the numbers


class Roles(BaseModel):
    """The numbers of the special tokens, and the frame of a pair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary: int  # the largest number and one
    first: int
    last: int
    pad: int
    mask: int
    special: tuple[int, ...]
    separators: int  # between the texts of a pair
    types: bool  # whether the second text has another token type than the first


def read_backend(folder: Path, where: str) -> tuple[Backend, Mapping[str, str]]:
    """Return the tokenizer of a folder, and its special tokens by the names that transformers has for them.

    ``tokenizer.json`` is taken as it is; other files as transformers reads them. Nothing is fetched or unpickled.

    Raises
    ------
    RequestError: if there is none, or none that the tokenizers library has.
    """
    from tokenizers import Tokenizer as Backend
    from transformers import AutoTokenizer

    known = any((folder / name).is_file() for name in FILES)
    if not known and not [*folder.glob("*.model")]:
        raise RequestError(f"{where}: expected a tokenizer, tokenizer.json or the files of its vocabulary, got none")
    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)  # type: ignore[no-untyped-call]
        whole = folder / "tokenizer.json"
        backend = (
            Backend.from_file(str(whole)) if whole.is_file() else Backend.from_str(found.backend_tokenizer.to_str())
        )
    except Exception as error:  # the libraries raise bare exceptions
        reason = " ".join(str(error).split())[:120]
        raise RequestError(
            f"{where}: expected a tokenizer that transformers reads and the tokenizers library has, got another "
            f"({reason}){'' if known else '; a sentencepiece model needs the packages sentencepiece and protobuf'}"
        ) from error
    backend.no_truncation()
    backend.no_padding()
    return backend, {name: str(token) for name, token in found.special_tokens_map.items() if name.endswith("_token")}


def roles_of(backend: Backend, tokens: Mapping[str, str], where: str) -> Roles:
    """Return the numbers of the special tokens that the objectives need.

    Raises
    ------
    RequestError: if one is missing, or a pair is not framed as BERT or RoBERTa do.
    """
    parts: dict[str, int] = {}
    for part, names in PARTS.items():
        numbers = (backend.token_to_id(tokens[name]) for name in names if name in tokens)
        number = next((number for number in numbers if number is not None), None)
        if number is None:
            raise RequestError(f"{where}: expected a tokenizer with a {' or '.join(names)}, got one without")
        parts[part] = number
    found = {backend.token_to_id(token) for token in tokens.values()} - {None}
    found |= {number for number, token in backend.get_added_tokens_decoder().items() if token.special}
    special = tuple(sorted({*parts.values(), *(number for number in found if number is not None)}))
    return Roles(
        vocabulary=max(backend.get_vocab().values()) + 1,
        special=special,
        separators=_separators(backend, parts["first"], parts["last"], where),
        types=any(backend.encode("a", "b").type_ids),
        **parts,
    )


def wrap_saved(content: str, roles: Roles, checksum: str) -> Tokenizer:
    """Return the tokenizer of a stored ``tokenizer.json``."""
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_str(content)
    backend.encode_special_tokens = True  # what a text spells is text
    return Tokenizer(
        checksum=checksum,
        vocabulary=roles.vocabulary,
        first=roles.first,
        pad=roles.pad,
        last=roles.last,
        mask=roles.mask,
        special=roles.special,
        separators=roles.separators,
        backend=backend,
    )


def content_of(content: str) -> dict[str, Any]:
    """Return the parts of a ``tokenizer.json`` that decide the numbers of a text."""
    found = json.loads(content)
    return {name: found.get(name) for name in CONTENT}


def _separators(backend: Backend, first: int, last: int, where: str) -> int:
    """Return how many separators stand between two texts: 1 as in BERT, which also serves where no frame is stored."""
    added = backend.num_special_tokens_to_add(True)
    if not added:
        return 1
    a, b = (backend.encode(text, add_special_tokens=False).ids for text in ("a", "b"))
    framed = backend.encode("a", "b").ids
    for count in (1, 2):
        if framed == [first, *a, *[last] * count, *b, last]:
            return count
    shown = " ".join(str(backend.id_to_token(number)) for number in framed)
    raise RequestError(f"{where}: expected pairs as FIRST a LAST b LAST, with one or two between, got {shown}")
