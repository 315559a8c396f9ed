"""A protocol: everything about a run that is not method, task or seed, as validated data with known origins."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from bench.dotted import flat, model_keys, nested
from bench.errors import RequestError, first_fault, nearest
from methods import METHODS
from methods.method import Method
from methods.settings import COMPLETE, Settings
from tasks import BACKBONES, catalogue
from tasks.info import TaskInfo
from tasks.settings import Section


class Override(BaseModel):
    """Values for the cells that meet all conditions; later overrides win."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conditions: dict[str, str | list[str]] = Field(alias="for")
    values: dict[str, Any] = Field(alias="set")

    def applies(self, facts: Mapping[str, str]) -> bool:
        """Whether a cell with these facts meets every condition."""
        return all(facts[name] in _listed(wanted) for name, wanted in self.conditions.items())

    def describe(self) -> str:
        """Return the conditions in words."""
        return ", ".join(f"{name} {'|'.join(_listed(wanted))}" for name, wanted in self.conditions.items())


class _Content(BaseModel):
    """The shape of a protocol file, and of a job's copy of it."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]  # also the name of a folder
    about: str
    marks: StrictBool
    defaults: dict[str, dict[str, Any]]
    overrides: tuple[Override, ...] = ()
    assignments: dict[str, Any] = {}


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
        given = nested(values)
        own = self._own(method, given, origins)
        parts = [METHODS.get(name) for name in method.made_of(own)]
        others = {part.section: section for part in parts if (section := self._own(part, given, origins))}
        sections = {name: given[name] for name in Settings.model_fields if name in given}
        try:
            settings = Settings.model_validate(sections | {"method": own, "others": others})
        except ValidationError as error:
            raise RequestError(_explain(f"protocol {self.name}", error, "", origins)) from error
        if abs(sum(settings.corpus.shares.values()) - 1) > 1e-6:
            where = _where(f"protocol {self.name}", "corpus.shares", origins)
            total = sum(settings.corpus.shares.values())
            raise RequestError(f"{where}: corpus.shares: expected shares that sum to 1, got {total:g}")
        if own is not None:
            kept = flat({method.section or "": own.model_dump(mode="json", context=COMPLETE)})
            fixed = (key for key, value in kept.items() if key in values and values[key] != value)
            origins |= dict.fromkeys(fixed, f"fixed by {method.name}")
        used = {*Settings.model_fields, method.section, *others}
        return Resolved(settings, {key: value for key, value in origins.items() if key.split(".")[0] in used})

    def _own(self, method: Method, given: Mapping[str, Any], origins: Mapping[str, str]) -> Section | None:
        """Return the section of a method's own, if it has one; raises as :meth:`resolve`."""
        if method.options is None or method.section is None:
            return None
        try:
            return method.options.model_validate(given.get(method.section, {}))
        except ValidationError as error:
            raise RequestError(_explain(f"protocol {self.name}", error, f"{method.section}.", origins)) from error

    def content(self) -> dict[str, Any]:
        """Return the protocol as JSON values, for a job's payload."""
        return {
            "name": self.name, "about": self.about, "marks": self.marks, "defaults": dict(self.defaults),
            "overrides": [{"for": o.conditions, "set": o.values} for o in self.overrides],
            "assignments": dict(self.assignments),
        }  # fmt: skip


def parse(content: Mapping[str, Any], origin: str) -> Protocol:
    """Return the protocol of ``content`` (see :meth:`Protocol.content`); raises RequestError naming ``origin``."""
    where = f"protocol {origin}"
    try:
        found = _Content.model_validate(dict(content))
    except ValidationError as error:
        raise RequestError(_explain(where, error, known=_Content.model_fields)) from error
    keys, defaults = known_keys(), flat(found.defaults)
    for key, value in defaults.items():
        check_name(where, key, keys)
        check_value(where, key, value)
    conditions = _conditions() if found.overrides else {}
    for override in found.overrides:
        for name, wanted in override.conditions.items():
            check_name(f"{where}: overrides", name, conditions)
            for one in _listed(wanted):
                check_name(f"{where}: overrides: {name}", one, conditions[name])
        for key, value in override.values.items():
            check_name(f"{where}: overrides", key, keys)
            check_value(f"{where}: overrides", key, value)
    return Protocol(found.name, found.about, found.marks, found.defaults, found.overrides, found.assignments)


def known_keys() -> set[str]:
    """Every key that a section may hold: of the common ones, and of each method's own."""
    keys = model_keys(Settings) - {"method", "others"}
    for name in METHODS.names():
        entry = METHODS.get(name)
        if entry.section and entry.options:
            keys |= model_keys(entry.options, f"{entry.section}.")
    return keys


def _conditions() -> dict[str, set[str]]:
    """What an override may ask for, and the values that it may name."""
    suites = catalogue.suites().values()
    tasks = [task for suite in suites for task in suite.tasks]
    return {
        "suite": {suite.name for suite in suites},
        "task": {task.id for task in tasks},
        "kind": {task.kind for task in tasks},
        "modality": {BACKBONES.get(name).modality for name in BACKBONES.names()},
        "method": set(METHODS.names()),
    }


def _listed(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


def check_name(where: str, name: str, known: Collection[str]) -> None:
    """Raise RequestError with the nearest names if ``name`` is not among ``known``."""
    if name not in known:
        raise RequestError(f"{where}: {name!r} is not known; {nearest(name, known)}")


def check_value(where: str, key: str, value: Any) -> None:
    """Raise RequestError if ``value`` is nothing that JSON holds: identities are made of JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:  # a date, a set, an infinity
        raise RequestError(f"{where}: {key}: expected a finite number, text or a list, got {value!r}") from error


def _where(protocol: str, key: str, origins: Mapping[str, str]) -> str:
    """Name what set ``key``, or the list or mapping that it is an entry of; else ``protocol``."""
    origin = next((origins[known] for known in origins if f"{key}.".startswith(f"{known}.")), None)
    if any(value == "--set" for known, value in origins.items() if known.startswith(f"{key}.")):
        origin = "--set"  # a whole section does not fit
    return protocol if origin is None else origin if origin == "--set" else f"protocol {origin}"


def _explain(
    protocol: str,
    error: ValidationError,
    section: str = "",
    origins: Mapping[str, str] | None = None,
    known: Collection[str] = (),
) -> str:
    """Return one line on the first fault: what set the value, its key, what was expected, what came."""
    fault = first_fault(error)
    key = (section + ".".join(str(part) for part in fault.places)).rstrip(".")
    if fault.unknown:
        return f"{protocol}: {key!r} is not known; {nearest(key, known)}"
    return f"{_where(protocol, key, origins or {})}: {key}: {fault.message}{fault.got}"
