"""A protocol: everything about a run that is not method, task or seed, as validated data with known origins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import RequestError, nearest
from methods import METHODS
from methods.method import Method
from methods.settings import Settings
from tasks import BACKBONES
from tasks.info import TaskInfo

FOLDER = Path(__file__).parent / "protocols"
CONDITIONS = ("suite", "task", "kind", "modality", "method")


class Override(BaseModel):
    """Values for the cells that meet all conditions; later overrides win."""

    model_config = ConfigDict(extra="forbid")

    conditions: dict[str, str | list[str]]
    values: dict[str, Any]

    def applies(self, facts: Mapping[str, str]) -> bool:
        """Whether a cell with these facts meets every condition."""
        return all(
            facts[name] in ([wanted] if isinstance(wanted, str) else wanted) for name, wanted in self.conditions.items()
        )

    def describe(self) -> str:
        """Return the conditions in words."""
        return ", ".join(
            f"{name} {wanted if isinstance(wanted, str) else '|'.join(wanted)}"
            for name, wanted in self.conditions.items()
        )


@dataclass(frozen=True)
class Resolved:
    """The settings of one cell, and where each value comes from (dotted key -> origin)."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True)
class Protocol:
    """Defaults, then overrides in order, then ``--set``."""

    name: str
    about: str
    marks: bool
    defaults: Mapping[str, Any]
    overrides: tuple[Override, ...] = ()
    assignments: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, method: Method, task: TaskInfo, backbone: str) -> Resolved:
        """Return what a cell of this method, task and backbone uses.

        Raises
        ------
        RequestError: naming the key whose value does not fit.
        """
        values = flat(self.defaults)
        origins = dict.fromkeys(values, f"{self.name}: defaults")
        facts = {
            "suite": task.suite,
            "task": task.id,
            "kind": task.kind,
            "modality": BACKBONES.get(backbone).modality,
            "method": method.name,
        }
        changes = [(f"{self.name}: {o.describe()}", o.values) for o in self.overrides if o.applies(facts)]
        for origin, change in [*changes, ("--set", self.assignments)]:
            values |= change
            origins |= dict.fromkeys(change, origin)
        nested = _nested(values)
        sections = {name: nested[name] for name in Settings.model_fields if name in nested}
        try:
            if method.options is not None and method.section is not None:
                sections["method"] = method.options.model_validate(nested.get(method.section, {}))
            settings = Settings.model_validate(sections)
        except ValidationError as error:
            raise RequestError(_explain(self.name, error, method.section)) from error
        used = {*Settings.model_fields, method.section}
        return Resolved(settings, {key: value for key, value in origins.items() if key.split(".")[0] in used})

    def content(self) -> dict[str, Any]:
        """Return the protocol as JSON values, for a job's payload."""
        return {
            "name": self.name, "about": self.about, "marks": self.marks, "defaults": dict(self.defaults),
            "overrides": [{"for": o.conditions, "set": o.values} for o in self.overrides],
            "assignments": dict(self.assignments),
        }  # fmt: skip


def names() -> list[str]:
    """Return the names of the built-in protocols."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, assignments: Sequence[str] = ()) -> Protocol:
    """Return the protocol ``name``, a built-in one or a YAML file, with ``KEY=VALUE`` assignments on top.

    A file may say ``base: small`` and then holds only what differs.

    Raises
    ------
    RequestError: for an unknown name or key, a file that is no protocol, or an assignment without "=".
    """
    protocol = parse(_read(name), name)
    known = set(flat(protocol.defaults)) | _optional_keys()
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RequestError(f"--set: expected KEY=VALUE, got {assignment!r}")
        _check_key("--set", key, known)
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RequestError(f"--set: expected a YAML value for {key}, got {text!r}") from error
    return parse(protocol.content() | {"assignments": values}, name)


def parse(content: Mapping[str, Any], origin: str) -> Protocol:
    """Return the protocol of ``content`` (see :meth:`Protocol.content`); raises RequestError naming ``origin``."""
    missing = {"name", "about", "marks", "defaults"} - set(content)
    extra = set(content) - {"name", "about", "marks", "defaults", "overrides", "assignments", "base"}
    if missing or extra:
        raise RequestError(
            f"protocol {origin}: expected the keys name, about, marks, defaults and overrides; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; unknown: {', '.join(sorted(extra)) or 'none'}"
        )
    known = set(flat(content["defaults"])) | _optional_keys()
    sections = {*Settings.model_fields} - {"method"} | {METHODS.get(name).section or "" for name in METHODS.names()}
    for section in content["defaults"]:
        _check_key(f"protocol {origin}", section, sections - {""})
    overrides = []
    for entry in content.get("overrides") or []:
        conditions, values = entry.get("for", {}), entry.get("set", {})
        for name in conditions:
            _check_key(f"protocol {origin}: overrides", name, set(CONDITIONS))
        for key in values:
            _check_key(f"protocol {origin}: overrides", key, known)
        overrides.append(Override(conditions=conditions, values=values))
    return Protocol(
        content["name"], content["about"], bool(content["marks"]), content["defaults"], tuple(overrides),
        content.get("assignments") or {},
    )  # fmt: skip


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise RequestError(
            f"protocol: {name!r} is not known; {nearest(name, names())}; or the path of a .yaml file that exists"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"protocol {path}: expected YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RequestError(f"protocol {path}: expected a mapping, got {type(content).__name__}")
    if "base" in content:
        base = _read(content.pop("base"))
        defaults = _nested(flat(base["defaults"]) | flat(content.get("defaults", {})))
        overrides = [*(base.get("overrides") or []), *(content.get("overrides") or [])]
        content = base | content | {"defaults": defaults, "overrides": overrides}
    return content


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys. ``shares`` is one value: a mapping whose keys are names of files."""
    dotted: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and key != "shares":
            dotted |= flat(value, f"{prefix}{key}.")
        else:
            dotted[f"{prefix}{key}"] = value
    return dotted


def _nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in dotted.items():
        *sections, leaf = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[leaf] = value
    return nested


def _optional_keys() -> set[str]:
    """Every key that a section of the models may hold, whether a protocol names it or not."""
    keys = _model_keys(Settings)
    for name in METHODS.names():
        entry = METHODS.get(name)
        if entry.section and entry.options:
            keys |= _model_keys(entry.options, f"{entry.section}.")
    return keys


def _model_keys(model: type[BaseModel], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, field_info in model.model_fields.items():
        parts = get_args(field_info.annotation) or (field_info.annotation,)
        inner = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        keys |= _model_keys(inner[0], f"{prefix}{name}.") if inner else {f"{prefix}{name}"}
    return keys - {"method"}


def _check_key(where: str, key: str, known: set[str]) -> None:
    if key not in known:
        raise RequestError(f"{where}: {key!r} is not a known key; {nearest(key, known)}")


def _explain(name: str, error: ValidationError, section: str | None) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if error.title != "Settings" and section:
        place = [section, *place]
    return f"protocol {name}: {'.'.join(place)}: {first['msg']}, got {first.get('input')!r}"
