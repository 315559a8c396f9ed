"""Reading weights of the GIN that others trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.errors import RequestError
from tasks.checkpoint_file import read_tensors
from tasks.graph.gin import Gin

WRAPPERS = ("state_dict", "model")  # where a state dict may lie in a file; GraphMVP has "model" beside "model_3D"


def load_by_name(encoder: Gin, path: Path) -> None:
    """Copy the weights of a file into ``encoder``: by name, all of them behind one prefix or none.

    The published GIN has the names of the released weights of Hu et al. 2020 and of GraphMVP, which also come
    behind a prefix, as ``gnn.`` or ``molecule_model.``. What is no part of the encoder (``graph_pred_linear``,
    other networks) is left out. Nothing is changed unless everything fits.

    Parameters
    ----------
    path: as in :func:`~tasks.checkpoint_file.read_tensors`.

    Raises
    ------
    RequestError: if the file cannot be read without unpickling objects, lacks a tensor, has one of another
        shape, or has more layers.
    """
    expected, found = encoder.state_dict(), read_tensors(path, WRAPPERS)
    prefix = _prefix(expected, found, path)
    own = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
    missing = [name for name in expected if name not in own]
    if missing:
        behind = f" behind '{prefix}'" if prefix else ""
        raise RequestError(
            f"checkpoint {path}: expected {_some(missing)}{behind}, got none; "
            "graph.features and graph.layers decide the names"
        )
    for name, target in expected.items():
        if own[name].shape != target.shape:
            raise RequestError(
                f"checkpoint {path}: expected {name} of shape {tuple(target.shape)}, got {tuple(own[name].shape)}; "
                "graph.features and graph.width decide the shapes"
            )
    parts = tuple(f"{part}." for part, _ in encoder.named_children())
    more = [name for name in own if name not in expected and name.startswith(parts)]
    if more:
        raise RequestError(
            f"checkpoint {path}: expected the weights of a GIN of {len(encoder.gnns)} layers (graph.layers), "
            f"got also {_some(more)}"
        )
    encoder.load_state_dict({name: own[name] for name in expected})


def _prefix(expected: Iterable[str], found: Iterable[str], path: Path) -> str:
    """Return what stands before the encoder's names, judged by the first of them that the file has."""
    for name in expected:
        for other in found:
            if other == name or other.endswith(f".{name}"):
                return other.removesuffix(name)
    raise RequestError(
        f"checkpoint {path}: expected the names of the encoder ({_some(list(expected))}), got {_some(list(found))}"
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:2])
    return f"{shown} and {len(names) - 2} more" if len(names) > 2 else shown or "nothing"
