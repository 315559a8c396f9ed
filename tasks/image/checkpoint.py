"""Reading encoder weights that others trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.errors import RequestError
from tasks.checkpoint_file import read_tensors

WRAPPERS = ("state_dict",)


def load_by_position(encoder: nn.Module, path: Path) -> None:
    """Copy the leading entries of a state dict into ``encoder`` by position, as ImageMol's fine-tuning does.

    Names are ignored, so any prefix will do; every shape is checked. What follows the encoder's
    entries (heads) is left out. Nothing is changed unless everything fits. A safetensors file keeps
    no order, so there the names must be the encoder's own behind one common prefix.

    Parameters
    ----------
    path: as in :func:`~tasks.checkpoint_file.read_tensors`.

    Raises
    ------
    RequestError: if the file cannot be read without unpickling objects, is too short, or a shape differs.
    """
    expected = encoder.state_dict()
    found = read_tensors(path, WRAPPERS)
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


def _ordered(found: Mapping[str, Tensor], names: list[str], path: Path) -> Mapping[str, Tensor]:
    for prefix in (name.removesuffix(names[0]) for name in found if name.endswith(names[0])):
        if all(prefix + name in found for name in names):
            return {prefix + name: found[prefix + name] for name in names}
    raise RequestError(
        f"checkpoint {path}: expected all {len(names)} names of the encoder ({names[0]}, {names[1]}, ...) "
        f"behind one prefix, got {', '.join(sorted(found)[:3])}, ..."
    )
