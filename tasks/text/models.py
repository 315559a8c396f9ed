"""The cache of saved models: architecture and tokenizer of a folder, read once and known by their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from pathlib import Path

from bench.errors import NotPreparedError, RequestError
from bench.files import digest, home, write_atomic, write_json
from tasks.pretrained import MODELS, Published, model_path, prepare_model, published
from tasks.settings import TextSettings
from tasks.text.saved_model import SETTING, Saved, checksum_of, read_saved
from tasks.text.saved_tokenizer import wrap_saved
from tasks.text.tokenizer import Tokenizer

FORMAT = 1  # raised when the same folder comes to mean another architecture or tokenizer
READ = (".json", ".txt", ".model")  # endings of the files that architecture and tokenizer can depend on


def prepare_saved(text: TextSettings, *, suite: str, mirror: str | None, download: bool) -> Tokenizer:
    """Read the folder that ``text.model`` names and store what cells need of it; published weights are fetched first.

    Raises
    ------
    RequestError: if there is no such folder, or it holds no encoder or tokenizer that can be used.
    NotPreparedError: if published weights cannot be had.
    """
    if download and (model := _published(text.model)):
        prepare_model(model, partial(_verify, text), mirror=mirror, setting="text.model")
    try:
        tokenizer = load_saved(text, suite=suite)
    except NotPreparedError:
        folder = _folder(text.model)
        saved, content = read_saved(folder)
        stored = _stored(folder)
        write_atomic(stored / "tokenizer.json", lambda path: path.write_text(content, encoding="utf-8"))
        write_json(stored / "meta.json", saved.model_dump(mode="json"))  # last: it makes the model exist
        _described.cache_clear()
        tokenizer = load_saved(text, suite=suite)
    describe_saved(text, suite=suite).architecture(text)
    return tokenizer


def describe_saved(text: TextSettings, *, suite: str) -> Saved:
    """Return what is stored of the folder that ``text.model`` names, known by the content of its small files.

    Raises
    ------
    RequestError: if there is no such folder.
    NotPreparedError: if the folder, as it is now, was not prepared.
    """
    stored = _stored(_folder(text.model))
    try:
        return _described(stored)
    except (OSError, ValueError) as error:
        raise _not_prepared(text, suite, f"nothing at {stored}") from error


def load_saved(text: TextSettings, *, suite: str) -> Tokenizer:
    """Return the stored tokenizer of the folder.

    Raises
    ------
    NotPreparedError: if it is missing or damaged.
    """
    saved, path = describe_saved(text, suite=suite), _stored(_folder(text.model)) / "tokenizer.json"
    try:
        content = path.read_text(encoding="utf-8")
        whole = checksum_of(content, saved.roles) == saved.checksum
    except (OSError, ValueError) as error:
        raise _not_prepared(text, suite, f"{path} is missing or damaged") from error
    if not whole:
        raise _not_prepared(text, suite, f"{path} does not match its checksum")
    return wrap_saved(content, saved.roles, saved.checksum)


def _verify(text: TextSettings, path: Path) -> None:
    """Load the weights of a folder into the encoder that it describes."""
    from tasks.text.encoder import build_encoder, load_encoder

    saved, content = read_saved(path)
    tokenizer = wrap_saved(content, saved.roles, saved.checksum)
    load_encoder(path, build_encoder(saved.architecture(text), 0), tokenizer, SETTING)


def _published(model: str) -> Published | None:
    """Return the published weights that go by a name; raises RequestError if they are for something else than text."""
    found = published(model, SETTING)
    if found and found.backbone != "roberta":
        raise RequestError(f"{SETTING}: expected a model of text, got {model}, which is for {found.backbone}")
    return found


def _folder(model: str) -> Path:
    _published(model)
    path = model_path(model, SETTING)
    if not path.is_dir():
        known = ", ".join(one.name for one in MODELS.values() if one.backbone == "roberta")
        raise RequestError(
            f"{SETTING}: expected the folder of a saved model, hf:NAME of the Hugging Face hub, or one of {known}, "
            f"got {model}: no folder"
        )
    return path


def _stored(folder: Path) -> Path:
    files = sorted(file for file in folder.iterdir() if file.suffix in READ and not file.name.endswith(".index.json"))
    found = {file.name: _file_checksum(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    return home() / "tokenizers" / f"model-{digest([FORMAT, found])}"


@lru_cache(maxsize=64)
def _file_checksum(path: Path, size: int, changed: int) -> str:
    # Every cell of a plan asks; size and time of change tell whether it is still the same file.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _described(stored: Path) -> Saved:
    return Saved.model_validate_json((stored / "meta.json").read_text(encoding="utf-8"))


def _not_prepared(text: TextSettings, suite: str, found: str) -> NotPreparedError:
    return NotPreparedError(
        f"{SETTING} {text.model}: {found}; run: python -m bench prepare --tasks {suite} --set {SETTING}={text.model}"
    )
