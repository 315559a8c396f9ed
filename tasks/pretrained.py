"""Published weights that a protocol may name as its start: fetched once, loaded once to verify them, kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.errors import NotPreparedError, RequestError
from bench.files import home, write_atomic
from tasks.sources import candidates, fetch

GIN = "https://github.com/snap-stanford/pretrain-gnns/raw/master/chem/model_gin"  # Hu et al. 2020, arXiv 1905.12265
VERIFIED = "VERIFIED"  # a file that makes the folder count; its name has no ending, so it enters no identity


@dataclass(frozen=True)
class Published:
    """Weights for the encoder of a backbone: files below a public address. A single file is read by itself."""

    backbone: str
    url: str
    files: tuple[str, ...]


MODELS = {
    "roberta-base": Published(
        "roberta",
        "https://huggingface.co/FacebookAI/roberta-base/resolve/main",
        ("config.json", "vocab.json", "merges.txt", "model.safetensors"),
    ),
    "gin-attrmask": Published("gin", GIN, ("masking.pth",)),  # 2 million molecules of ZINC15
    "gin-contextpred": Published("gin", GIN, ("contextpred.pth",)),
}


def model_path(checkpoint: str, setting: str = "start.checkpoint") -> Path:
    """Return the path that a protocol's checkpoint stands for: a path itself, else that of published weights.

    ``setting`` is the one that names it, for messages.

    Raises
    ------
    NotPreparedError: if it is the name of published weights that are not in the cache.
    """
    path = Path(checkpoint).expanduser()
    if checkpoint not in MODELS or path.exists():
        return path
    if not (_folder(checkpoint) / VERIFIED).is_file():
        raise NotPreparedError(
            f"{setting}: {checkpoint} is not at {_folder(checkpoint)}; run: python -m bench prepare "
            f"--tasks SUITE --protocol PROTOCOL, or {_by_hand(checkpoint, setting)}"
        )
    return _weights(checkpoint)


def prepare_model(name: str, load: Callable[[Path], object], *, mirror: str | None) -> Path:
    """Return the path of published weights, downloaded if they are not there, and loaded once.

    No checksum of the weights is known here, so ``load`` verifies them: it reads the path into an encoder.

    Raises
    ------
    NotPreparedError: if a file cannot be had.
    RequestError: if they do not load.
    """
    folder = _folder(name)
    if (folder / VERIFIED).is_file():
        return _weights(name)
    for file in MODELS[name].files:
        if not (folder / file).is_file():
            _get(name, file, folder / file, mirror)
    try:
        load(_weights(name))
    except RequestError as error:
        raise RequestError(f"{error}; to fetch {name} anew, remove {folder}") from error
    write_atomic(folder / VERIFIED, lambda path: path.write_text("loaded\n", encoding="utf-8"))
    return _weights(name)


def _get(name: str, file: str, target: Path, mirror: str | None) -> None:
    looked: list[str] = []
    for place in candidates(f"models/{name}/{file}", url=f"{MODELS[name].url}/{file}", mirror=mirror):
        if isinstance(place, Path):
            if place.is_file():
                write_atomic(target, partial(shutil.copyfile, place))
                return
            looked.append(str(place))
            continue
        try:
            write_atomic(target, partial(fetch, place))
            return
        except OSError as error:
            looked.append(f"{place} ({' '.join(str(error).split())[:200]})")
    raise NotPreparedError(f"{name}: {file} not found; looked at {', '.join(looked)}; {_by_hand(name)}")


def _folder(name: str) -> Path:
    return home() / "models" / name


def _weights(name: str) -> Path:
    files = MODELS[name].files
    return _folder(name) / files[0] if len(files) == 1 else _folder(name)


def _by_hand(name: str, setting: str = "start.checkpoint") -> str:
    files, url = MODELS[name].files, MODELS[name].url
    into, where = ("", "FILE") if len(files) == 1 else (" into a folder", "FOLDER")
    return f"download {', '.join(files)} from {url}{into} and pass --set {setting}={where}"
