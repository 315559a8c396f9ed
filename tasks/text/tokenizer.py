"""Byte-level BPE: trained once on the corpus of a suite, or RoBERTa's own; stored under what determines it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import NotPreparedError, RequestError
from bench.files import digest, home, write_atomic, write_json
from tasks.settings import TextSettings
from tasks.sources import COMMAND, locate, preparing

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

FORMAT = 1  # raised when the same corpus and size come to mean another tokenizer
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ROBERTA = "https://huggingface.co/FacebookAI/roberta-base/resolve/main/"
ROBERTA_CHECKSUM = "4f68a656d39509e5"  # of vocabulary and merges as :func:`_checksum` takes it


@dataclass(frozen=True)
class Tokenizer:
    """Texts to token numbers, with the numbers of the special tokens.

    Texts that spell a special token, such as ``<mask>``, get ordinary tokens for it.
    """

    checksum: str  # of vocabulary and merges
    vocabulary: int  # tokens, special ones included
    first: int  # <s>
    pad: int
    last: int  # </s>
    mask: int
    special: tuple[int, ...]
    backend: Backend = field(repr=False, compare=False)
    separators: int = 2  # </s> between the texts of a pair

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, without special ones."""
        return [found.ids for found in self.backend.encode_batch(list(texts), add_special_tokens=False)]


def prepare_tokenizer(
    settings: TextSettings,
    checksum: str,
    sentences: Iterable[str],
    *,
    suite: str,
    mirror: str | None = None,
    download: bool = False,
) -> Tokenizer:
    """Train and store the tokenizer of a corpus, or fetch and store RoBERTa's. Does nothing if it is there and whole.

    Parameters
    ----------
    checksum, sentences: of the corpus.
    suite: its name, for messages.

    Raises
    ------
    NotPreparedError: if RoBERTa's files cannot be had or are others.
    """
    try:
        return load_tokenizer(settings, checksum, suite=suite)
    except NotPreparedError:
        pass
    backend = train(sentences, settings.vocabulary) if settings.tokenizer == "own" else _roberta(mirror, download)
    folder, meta = _folder(settings, checksum), {"checksum": _checksum(backend), "vocabulary": backend.get_vocab_size()}
    content = backend.to_str()
    write_atomic(folder / "tokenizer.json", lambda path: path.write_text(content, encoding="utf-8"))
    write_json(folder / "meta.json", meta)  # last: it makes the tokenizer exist
    _described.cache_clear()
    return load_tokenizer(settings, checksum, suite=suite)


def load_tokenizer(settings: TextSettings, checksum: str, *, suite: str) -> Tokenizer:
    """Return the stored tokenizer of the corpus with this checksum.

    Raises
    ------
    NotPreparedError: if it is missing or damaged.
    """
    from tokenizers import Tokenizer as Backend

    meta, path = describe_tokenizer(settings, checksum, suite=suite), _folder(settings, checksum) / "tokenizer.json"
    try:
        backend = Backend.from_str(path.read_text(encoding="utf-8"))
        whole = _checksum(backend) == meta["checksum"]
    except Exception as error:  # the library raises bare exceptions for what it cannot parse
        raise _not_prepared(suite, f"{path} is missing or damaged") from error
    if not whole:
        raise _not_prepared(suite, f"{path} does not match its checksum")
    return wrap(backend)


def describe_tokenizer(settings: TextSettings, checksum: str, *, suite: str) -> Mapping[str, Any]:
    """Return ``checksum`` and ``vocabulary`` of the stored tokenizer, without reading it.

    Raises
    ------
    NotPreparedError: if it is missing.
    """
    return _described(_folder(settings, checksum), suite)


@lru_cache(maxsize=64)
def _described(folder: Path, suite: str) -> Mapping[str, Any]:
    try:
        meta: Mapping[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return {"checksum": str(meta["checksum"]), "vocabulary": int(meta["vocabulary"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _not_prepared(suite, f"no tokenizer at {folder}") from error


def train(sentences: Iterable[str], vocabulary: int) -> Backend:
    """Return a byte-level BPE with at most ``vocabulary`` tokens; the same sentences give the same one.

    Every byte is a token, so no text has unknown ones. A small corpus gives fewer tokens than asked for.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, trainers

    backend = _assembled(Backend(models.BPE()))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(sentences, trainer)
    return _finished(backend)


def wrap(backend: Backend) -> Tokenizer:
    """Return a tokenizer of the library with what the problem needs of it.

    Raises
    ------
    RequestError: if it lacks a special token.
    """
    numbers = {token: _number(backend, token) for token in SPECIAL}
    backend.encode_special_tokens = True  # what a text spells is text
    return Tokenizer(
        checksum=_checksum(backend),
        vocabulary=backend.get_vocab_size(),
        first=numbers["<s>"],
        pad=numbers["<pad>"],
        last=numbers["</s>"],
        mask=numbers["<mask>"],
        special=tuple(sorted(numbers.values())),
        backend=backend,
    )


def _roberta(mirror: str | None, download: bool) -> Backend:
    # The bytes of vocab.json differ from source to source, in order and escapes, so its content is checked.
    names = ("vocab.json", "merges.txt")
    paths = [
        locate(f"tokenizers/roberta-base/{name}", url=ROBERTA + name, mirror=mirror, download=download)
        for name in names
    ]
    try:
        vocabulary, merges = (gzip.decompress(path.read_bytes()).decode() for path in paths)
        backend = _from_files(vocabulary, merges)
        if (found := _checksum(backend)) != ROBERTA_CHECKSUM:
            raise ValueError(f"their checksum is {found}, not {ROBERTA_CHECKSUM}")
    except Exception as error:  # of the library, which raises bare ones, of JSON, of a line that is no pair
        for path in paths:
            path.unlink()  # the next attempt fetches them anew
        raise NotPreparedError(
            f"tokenizers/roberta-base: expected the vocab.json and merges.txt of RoBERTa, got others ({error}); "
            f"get the right files, then run: {COMMAND}"
        ) from error
    return backend


def _from_files(vocabulary: str, merges: str) -> Backend:
    from tokenizers import AddedToken, models
    from tokenizers import Tokenizer as Backend

    lines = [line for line in merges.split("\n") if line and not line.startswith("#version")]
    backend = _assembled(Backend(models.BPE(json.loads(vocabulary), [_pair(line) for line in lines])))
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    return _finished(backend)


def _pair(line: str) -> tuple[str, str]:
    left, right = line.split(" ")
    return left, right


def _assembled(backend: Backend) -> Backend:
    from tokenizers import decoders, pre_tokenizers

    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _finished(backend: Backend) -> Backend:
    """Add RoBERTa's frame, ``<s> a </s>`` and ``<s> a </s></s> b </s>``, for whoever reads tokenizer.json elsewhere."""
    from tokenizers import processors

    first, last = ((token, _number(backend, token)) for token in ("<s>", "</s>"))
    backend.post_processor = processors.RobertaProcessing(last, first, trim_offsets=True, add_prefix_space=False)
    return backend


def _number(backend: Backend, token: str) -> int:
    number = backend.token_to_id(token)
    if number is None:
        raise RequestError(f"tokenizer: expected the special tokens {', '.join(SPECIAL)}, got none called {token}")
    return number


def _checksum(backend: Backend) -> str:
    model = json.loads(backend.to_str())["model"]
    canonical = json.dumps([sorted(model["vocab"].items()), model["merges"]], separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _folder(settings: TextSettings, checksum: str) -> Path:
    if settings.tokenizer == "own":
        matters = {"format": FORMAT, "corpus": checksum, "vocabulary": settings.vocabulary}
        return home() / "tokenizers" / f"own-{digest(matters)}"
    return home() / "tokenizers" / f"{settings.tokenizer}-{digest([FORMAT, ROBERTA_CHECKSUM])}"


def _not_prepared(suite: str, found: str) -> NotPreparedError:
    return NotPreparedError(f"tokenizer of {suite}: {found}; {preparing(suite)}")
