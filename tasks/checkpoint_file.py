"""Files of weights that others trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import RequestError


def read_tensors(path: Path, wrappers: Sequence[str]) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name, in the order that they have there (a safetensors file has none).

    Parameters
    ----------
    path: a ``.safetensors`` file, or a file of ``torch.save`` that holds a state dict, bare or under one of
        ``wrappers``, the first that is there.

    Raises
    ------
    RequestError: if there is no such file, it holds something else, or cannot be read without unpickling objects.
    """
    try:
        content: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise RequestError(f"start.checkpoint: expected a file, got {path}, which does not exist") from error
    # A damaged file can raise almost anything: unpickling, archive, header and end-of-file errors.
    except Exception as error:
        raise RequestError(
            f"checkpoint {path}: expected tensors alone, in safetensors or as a state dict of torch.save, "
            f"readable without unpickling objects ({type(error).__name__})"
        ) from error
    if isinstance(content, dict):
        content = next((content[name] for name in wrappers if isinstance(content.get(name), dict)), content)
    if not isinstance(content, dict) or not all(isinstance(entry, Tensor) for entry in content.values()):
        raise RequestError(
            f"checkpoint {path}: expected a state dict of tensors, bare or under {' or '.join(map(repr, wrappers))}"
        )
    return content
