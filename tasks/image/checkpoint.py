"""Reading encoder weights that others trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import RequestError


def load_by_position(encoder: nn.Module, path: Path) -> None:
    """Copy the leading entries of a state dict into ``encoder`` by position, as ImageMol's fine-tuning does.

    Names are ignored, so any prefix will do; every shape is checked. What follows the encoder's
    entries (heads) is left out. Nothing is changed unless everything fits. A safetensors file keeps
    no order, so there the names must be the encoder's own behind one common prefix.

    Parameters
    ----------
    path: a ``.safetensors`` file, or a file of ``torch.save`` that holds a state dict, bare or under ``"state_dict"``.

    Raises
    ------
    RequestError: if the file cannot be read without unpickling objects, is too short, or a shape differs.
    """
    expected = encoder.state_dict()
    found = _read(path)
    if path.suffix == ".safetensors":
        found = _ordered(found, list(expected), path)
    if len(found) < len(expected):
        raise RequestError(f"checkpoint {path}: expected at least {len(expected)} entries, got {len(found)}")
    matched: dict[str, Tensor] = {}
    for position, ((name, target), (other, tensor)) in enumerate(zip(expected.items(), found.items(), strict=False)):
        if target.shape != tensor.shape:
            raise RequestError(
                f"checkpoint {path}: position {position}: expected {name} of shape {tuple(target.shape)}, "
                f"got {other} of shape {tuple(tensor.shape)}"
            )
        matched[name] = tensor
    encoder.load_state_dict(matched)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        content: Any = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError as error:
        raise RequestError(f"checkpoint {path}: no such file") from error
    # A damaged file can raise almost anything: unpickling, archive, header and end-of-file errors.
    except Exception as error:
        raise RequestError(
            f"checkpoint {path}: expected tensors alone, in safetensors or as a state dict of torch.save, "
            f"readable without unpickling objects ({type(error).__name__})"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(entry, Tensor) for entry in content.values()):
        raise RequestError(f"checkpoint {path}: expected a state dict of tensors, bare or under 'state_dict'")
    return content


def _ordered(found: Mapping[str, Tensor], names: list[str], path: Path) -> Mapping[str, Tensor]:
    for prefix in (name.removesuffix(names[0]) for name in found if name.endswith(names[0])):
        if all(prefix + name in found for name in names):
            return {prefix + name: found[prefix + name] for name in names}
    raise RequestError(
        f"checkpoint {path}: expected all {len(names)} names of the encoder ({names[0]}, {names[1]}, ...) "
        f"behind one prefix, got {', '.join(sorted(found)[:3])}, ..."
    )
