"""Reading protocols: the built-in ones, and YAML files of users."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.dotted import flat, nested
from bench.errors import RequestError, nearest
from bench.files import parse_yaml, read_yaml
from bench.protocol import Protocol, check_name, check_value, known_keys, parse

FOLDER = Path(__file__).parent / "protocols"
KEYS = ("name", "about", "base", "marks", "defaults", "overrides")  # of a file


def names() -> list[str]:
    """Return the names of the built-in protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, assignments: Sequence[str] = ()) -> Protocol:
    """Return the protocol ``name``, a built-in one or a YAML file, with ``KEY=VALUE`` assignments on top.

    A file may say ``base: small`` and then holds only what differs, beside a name of its own.

    Raises
    ------
    RequestError: for an unknown name or key, a file that is no protocol, or an assignment without "=".
    """
    content = _read(name)
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RequestError(f"--set: expected KEY=VALUE, got {assignment!r}")
        check_name("--set", key, known_keys())
        values[key] = parse_yaml(text, f"--set: expected a YAML value for {key}, got {reprlib.repr(text)}")
        check_value("--set", key, values[key])
    return parse(content | {"assignments": values}, name)


def _read(name: str, inside: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a protocol with its bases; ``inside`` are the files that led here, each the base of the one before."""
    built_in = not name.endswith((".yaml", ".yml"))
    path = FOLDER / f"{name}.yaml" if built_in else (inside[-1].parent if inside else Path()) / name
    if name not in names() if built_in else not path.is_file():
        where = f"protocol {inside[-1]}: base" if inside else "protocol"
        raise RequestError(
            f"{where}: {name!r} is not known; {nearest(name, names())}; or the path of a .yaml file that exists"
        )
    if path.resolve() in inside:
        raise RequestError(f"protocol {path}: expected a base that does not lead back to it, got {name!r}")
    content = read_yaml(path, "protocol")
    for key in content:
        check_name(f"protocol {path}", str(key), KEYS)
    if not built_in and content.get("name") in (None, *names()):
        raise RequestError(f"protocol {path}: name: expected a name of its own, got {content.get('name')!r}")
    if "base" not in content:
        return content
    above, defaults, overrides = content.pop("base"), content.get("defaults", {}), content.get("overrides", [])
    if not isinstance(above, str) or not isinstance(defaults, dict) or not isinstance(overrides, list):
        raise RequestError(f"protocol {path}: expected base: a name, defaults: a mapping, overrides: a list")
    base = parse(_read(above, (*inside, path.resolve())), above).content()
    for key in flat(defaults):
        check_name(f"protocol {path}", key, known_keys())
    merged = nested(flat(base["defaults"]) | flat(defaults))
    whole = base | content | {"defaults": merged}
    parse(whole | {"overrides": overrides}, name)  # so that errors count the overrides of this file alone
    return whole | {"overrides": [*base["overrides"], *overrides]}
