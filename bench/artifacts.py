"""Stage outputs, stored under the digest of all that determined them: cells share what they have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import NotPreparedError
from bench.files import home, write_atomic, write_json

if TYPE_CHECKING:
    from methods.stage import StageResult


def folder(stage: str, digest: str) -> Path:
    """Where the artifact of a shared stage lies."""
    return home() / "artifacts" / f"{stage}-{digest}"


def exists(path: Path) -> bool:
    """Whether ``path`` holds a whole artifact: the log, written last, and as many bytes as the tensors' header says.

    Whether these bytes are the right ones, :func:`load` sees.
    """
    from safetensors import SafetensorError, safe_open

    try:
        _log(path)
        with safe_open(path / "tensors.safetensors", framework="np"):
            return True
    except (OSError, ValueError, SafetensorError):
        return False


def save(path: Path, result: StageResult, facts: Mapping[str, Any]) -> None:
    """Write ``result`` below ``path``, tensors first; ``facts`` (seconds and the like) go beside the log."""
    from safetensors.torch import save_file

    tensors = {f"weights/{part}/{name}": t for part, state in result.weights.items() for name, t in state.items()}
    for readout, model in result.models.items():
        tensors |= {f"models/{readout}/encoder/{name}": t for name, t in model.encoder.items()}
        tensors |= {f"models/{readout}/head/{name}": t for name, t in model.head.items()}
    # safetensors refuses two names for one memory; read-outs may share theirs.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    write_atomic(path / "tensors.safetensors", lambda temporary: save_file(tensors, temporary))
    write_json(path / "log.json", {"log": result.log, "facts": facts, "sha256": _sha256(path)})


def load(path: Path) -> tuple[StageResult, dict[str, Any]]:
    """Read an artifact and its facts.

    Raises
    ------
    NotPreparedError: if it is missing or damaged, saying how to get it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from methods.stage import Model, StageResult

    try:
        content = _log(path)
        if content.get("sha256") not in (None, _sha256(path)):  # none: from before there was one
            raise ValueError("tensors that have changed since they were written")
        tensors = load_file(path / "tensors.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise NotPreparedError(
            f"artifact {path.name}: expected a whole artifact, got {error}; delete {path} and run the command again"
        ) from error
    weights: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, dict[str, Any]]] = {}
    for key, tensor in tensors.items():
        kind, first, rest = key.split("/", 2)
        if kind == "weights":
            weights.setdefault(first, {})[rest] = tensor
        else:
            part, name = rest.split("/", 1)
            models.setdefault(first, {}).setdefault(part, {})[name] = tensor
    readouts = {name: Model(parts["encoder"], parts["head"]) for name, parts in models.items()}
    return StageResult(weights, readouts, content["log"]), content["facts"]


def _log(path: Path) -> dict[str, Any]:
    """Return the content of the log; raises OSError or ValueError if it is not whole."""
    content: dict[str, Any] = json.loads((path / "log.json").read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not {"log", "facts"} <= content.keys():
        raise ValueError("a log without its parts")
    return content


def _sha256(path: Path) -> str:
    with (path / "tensors.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
