"""Published weights that a protocol may name as its start: fetched once, loaded once to verify them, kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.errors import NotPreparedError, RequestError
from bench.files import home, write_atomic
from tasks.sources import candidates, fetch

GIN = "https://github.com/snap-stanford/pretrain-gnns/raw/master/chem/model_gin"  # Hu et al. 2020, arXiv 1905.12265
HUB = "https://huggingface.co"
PREFIX = "hf:"  # of a name at the hub: a misspelt folder is never taken for one
PART = r"(?!\.{1,2}(/|$))[A-Za-z0-9._-]+"  # of such a name; the dots alone would leave the folder
WEIGHTS = "model.safetensors"
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spm.model", "spiece.model", "sentencepiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
VERIFIED = "VERIFIED"  # a file that makes the folder count; its name has no ending, so it enters no identity


@dataclass(frozen=True)
class Published:
    """Weights for the encoder of a backbone: files below a public address. A single file is read by itself."""

    name: str
    backbone: str
    url: str
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()  # of which there are some


class AbsentError(NotPreparedError):
    """Every place where a file may lie says that it has none."""


MODELS = {
    model.name: model
    for model in (
        Published(
            "roberta-base",
            "roberta",
            f"{HUB}/FacebookAI/roberta-base/resolve/main",
            ("config.json", "vocab.json", "merges.txt", WEIGHTS),
        ),
        Published("gin-attrmask", "gin", GIN, ("masking.pth",)),  # 2 million molecules of ZINC15
        Published("gin-contextpred", "gin", GIN, ("contextpred.pth",)),
    )
}


def published(name: str, setting: str = "start.checkpoint") -> Published | None:
    """Return the weights that go by a name, ``hf:NAME`` those at the Hugging Face hub; none: it is a path.

    ``setting`` is the one that names it, for messages.

    Raises
    ------
    RequestError: if it begins with ``hf:`` and cannot be a name there.
    """
    if Path(name).expanduser().exists():
        return None
    if not name.startswith(PREFIX):
        return MODELS.get(name)
    if not re.fullmatch(f"{PREFIX}{PART}(/{PART})?", name):
        raise RequestError(
            f"{setting}: expected hf:NAME or hf:OWNER/NAME, a model of the Hugging Face hub in letters, digits and "
            f"any of . _ -, got {name!r}"
        )
    url = f"{HUB}/{name.removeprefix(PREFIX)}/resolve/main"
    return Published(name, "roberta", url, ("config.json", WEIGHTS), TOKENIZER)


def model_path(checkpoint: str, setting: str = "start.checkpoint") -> Path:
    """Return the path that a protocol's checkpoint stands for: a path itself, else that of published weights.

    ``setting`` is the one that names it, for messages.

    Raises
    ------
    RequestError: if it cannot be a name.
    NotPreparedError: if it is the name of published weights that are not in the cache.
    """
    model = published(checkpoint, setting)
    if model is None:
        return Path(checkpoint).expanduser()
    if not (_folder(model) / VERIFIED).is_file():
        raise NotPreparedError(
            f"{setting}: {checkpoint} is not at {_folder(model)}; run: python -m bench prepare --tasks SUITE, with "
            f"the same --protocol and --set, or {_by_hand(model, setting)}"
        )
    return _weights(model)


def prepare_model(
    model: Published, load: Callable[[Path], object], *, mirror: str | None, setting: str = "start.checkpoint"
) -> Path:
    """Return the path of published weights, downloaded if they are not there, and loaded once.

    No checksum of the weights is known here, so ``load`` verifies them: it reads the path into an encoder.
    ``setting`` is the one that names them, for messages.

    Raises
    ------
    NotPreparedError: if a file cannot be had, or it is not known whether there is an optional one.
    RequestError: if they do not load.
    """
    folder = _folder(model)
    if (folder / VERIFIED).is_file():
        return _weights(model)
    places = [*candidates(f"models/{model.name.removeprefix(PREFIX)}", url=model.url, mirror=mirror)]
    # What is optional is of one place, the first that has the model: two would make a mixed tokenizer.
    one = [_get(model, model.files[0], places, setting)] if model.optional else []
    for file in model.files:
        if not (folder / file).is_file():
            _get(model, file, places, setting)
    for file in model.optional:
        if not (folder / file).is_file():
            with suppress(AbsentError):
                _get(model, file, one, setting)
    try:
        load(_weights(model))
    except RequestError as error:
        raise RequestError(f"{error}; to fetch {model.name} anew, remove {folder}") from error
    write_atomic(folder / VERIFIED, lambda path: path.write_text("loaded\n", encoding="utf-8"))
    return _weights(model)


def _get(model: Published, file: str, places: Sequence[Path | str], setting: str) -> Path | str:
    """Put a file into the cache, and return the first of ``places`` that had it."""
    looked: list[str] = []
    absent = True
    for place in places:
        source = place / file if isinstance(place, Path) else f"{place}/{file}"
        try:
            _copy(source, _folder(model) / file)
            return place
        except FileNotFoundError:
            looked.append(str(source))
        except OSError as error:
            looked.append(f"{source} ({' '.join(str(error).split())[:200]})")
            absent = False
    message = f"{model.name}: {file} not found; looked at {', '.join(looked)}"
    if absent and file == WEIGHTS:
        raise AbsentError(
            f"{message}; pickled weights are never fetched: have the model saved with save_pretrained of "
            "transformers, and pass its folder"
        )
    raise (AbsentError if absent else NotPreparedError)(f"{message}; {_by_hand(model, setting)}")


def _copy(source: Path | str, target: Path) -> None:
    """Copy or download a file; raises FileNotFoundError if there is none, another OSError if that is not known."""
    if isinstance(source, Path):
        write_atomic(target, partial(shutil.copyfile, source))
        return
    try:
        write_atomic(target, partial(fetch, source))
    except OSError as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            raise FileNotFoundError(source) from error
        raise


def _folder(model: Published) -> Path:
    return home() / "models" / re.sub("[:/]", "+", model.name)  # which no name has: no two share a folder


def _weights(model: Published) -> Path:
    return _folder(model) / model.files[0] if len(model.files) == 1 else _folder(model)


def _by_hand(model: Published, setting: str) -> str:
    files = ", ".join(model.files) + (" and the tokenizer" if model.optional else "")
    into, where = ("", "FILE") if len(model.files) == 1 else (" into a folder", "FOLDER")
    return f"download {files} from {model.url}{into} and pass --set {setting}={where}"
