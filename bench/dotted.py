"""Nested sections and their dotted keys, such as ``finetune.optimiser.lr``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys. ``shares`` is one value: a mapping whose keys are names of files."""
    dotted: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and key != "shares":
            dotted |= flat(value, f"{prefix}{key}.")
        else:
            dotted[f"{prefix}{key}"] = value
    return dotted


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Undo :func:`flat`."""
    found: dict[str, Any] = {}
    for key, value in dotted.items():
        *sections, leaf = key.split(".")
        inner = found
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[leaf] = value
    return found


def model_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return every dotted key that ``model`` and the models inside it may hold."""
    keys: set[str] = set()
    for name, field_info in model.model_fields.items():
        parts = get_args(field_info.annotation) or (field_info.annotation,)
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        keys |= model_keys(inner[0], f"{prefix}{name}.") if inner else {f"{prefix}{name}"}
    return keys
