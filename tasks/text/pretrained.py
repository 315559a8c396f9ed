"""Published language models that a protocol names as its start: fetched once, loaded once to verify them, kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.errors import NotPreparedError, RequestError
from bench.files import home, write_atomic
from tasks.catalogue import suites
from tasks.settings import TextSettings
from tasks.sources import fetch

MODELS = {"roberta-base": "https://huggingface.co/FacebookAI/roberta-base/resolve/main"}  # name -> its files' address
FILES = ("config.json", "vocab.json", "merges.txt", "model.safetensors")
VERIFIED = "VERIFIED"  # a file that makes the folder count; its name has no ending, so it enters no identity


def model_path(checkpoint: str) -> Path:
    """Return the path that a protocol's checkpoint stands for: a path itself, else the folder of a published model.

    Raises
    ------
    NotPreparedError: if it is the name of a published model, which is not in the cache.
    """
    path = Path(checkpoint).expanduser()
    if checkpoint not in MODELS or path.exists():
        return path
    folder = _folder(checkpoint)
    if not (folder / VERIFIED).is_file():
        raise NotPreparedError(
            f"start.checkpoint: {checkpoint} is not at {folder}; run: python -m bench prepare --tasks SUITE "
            f"--protocol PROTOCOL, or {_by_hand(checkpoint)}"
        )
    return folder


def prepare_model(name: str, suite: str, settings: TextSettings, *, mirror: str | None) -> Path:
    """Return the folder of a published model, its files downloaded if they are not there, and loaded once.

    No checksum of the weights is known here, so they are verified by loading them into the encoder that ``settings``
    describe, with the tokenizer of ``suite``, which must be prepared.

    Raises
    ------
    NotPreparedError: if a file cannot be had.
    RequestError: if the model does not load into this encoder, or its tokenizer is another.
    """
    folder = _folder(name)
    if (folder / VERIFIED).is_file():
        return folder
    for file in FILES:
        if not (folder / file).is_file():
            _get(name, file, folder / file, mirror)
    try:
        _load(folder, suite, settings)
    except RequestError as error:
        raise RequestError(f"{error}; to fetch {name} anew, remove {folder}") from error
    write_atomic(folder / VERIFIED, lambda path: path.write_text("loaded\n", encoding="utf-8"))
    return folder


def _get(name: str, file: str, target: Path, mirror: str | None) -> None:
    below, looked = f"models/{name}/{file}", list[str]()
    remote = mirror is not None and mirror.startswith(("http://", "https://"))
    if mirror is not None and not remote:
        local = Path(mirror) / below
        if local.is_file():
            write_atomic(target, lambda path: shutil.copyfile(local, path))
            return
        looked.append(str(local))
    addresses = [f"{str(mirror).rstrip('/')}/{below}"] if remote else []
    for address in (*addresses, f"{MODELS[name]}/{file}"):
        try:
            write_atomic(target, lambda path, address=address: fetch(address, path))  # type: ignore[misc]
            return
        except OSError as error:
            looked.append(f"{address} ({' '.join(str(error).split())[:200]})")
    raise NotPreparedError(f"{name}: {file} not found; looked at {', '.join(looked)}; {_by_hand(name)}")


def _load(folder: Path, suite: str, settings: TextSettings) -> None:
    from tasks.backbones.roberta import architecture
    from tasks.text.corpus import describe_corpus
    from tasks.text.encoder import build_encoder, load_encoder
    from tasks.text.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(settings, describe_corpus(suites()[suite], settings)["checksum"], suite=suite)
    load_encoder(folder, build_encoder(architecture(settings, tokenizer.vocabulary), 0), tokenizer)


def _folder(name: str) -> Path:
    return home() / "models" / name


def _by_hand(name: str) -> str:
    return f"download {', '.join(FILES)} from {MODELS[name]} into a folder and pass --set start.checkpoint=FOLDER"
