"""Names to things: built in by a decorator, from third parties by entry points."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from types import ModuleType
from typing import Generic, TypeVar

from bench.errors import RequestError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary that fills itself on first use.

    Parameters
    ----------
    kind: what an entry is called in messages, such as ``"method"``.
    package: the package whose direct modules hold the built-in entries. They are imported on first
        use, so they must stay light: no torch at module level.
    group: the entry-point group through which other distributions add entries. Each entry point
        names a module (imported for its decorators) or an object that is registered as it is and has
        the type of the built-in entries.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files its argument under ``name``.

        Raises
        ------
        RequestError: if the name is taken.
        """

        def file(entry: T) -> T:
            if name in self._entries:
                raise RequestError(f"{self.kind}: expected a new name, got {name!r}, which is registered already")
            self._entries[name] = entry
            return entry

        return file

    def names(self) -> list[str]:
        """All names, sorted; raises RequestError if an entry point cannot be loaded."""
        self._load()
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises
        ------
        RequestError: naming the nearest known names; or if an entry point cannot be loaded.
        """
        self._load()
        if name not in self._entries:
            raise RequestError(f"{self.kind}: {name!r} is not known; {nearest(name, self._entries)}")
        return self._entries[name]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first: the modules that are imported below may ask
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg:
                importlib.import_module(f"{self.package}.{module.name}")
        kinds = {type(entry) for entry in self._entries.values()}
        for point in entry_points(group=self.group):
            try:
                found = point.load()
                if not isinstance(found, ModuleType):
                    if type(found) not in kinds:
                        expected = " or ".join(sorted(kind.__name__ for kind in kinds))
                        raise TypeError(f"expected a module or a {expected}, got {type(found).__name__}")
                    if self._entries.get(point.name) is not found:
                        self.register(point.name)(found)
            except Exception as error:  # other people's code may raise anything
                self._loaded = False  # whoever asks again gets the same answer
                raise RequestError(
                    f"entry point {point.name!r} of {self.group} ({point.value}): could not be loaded: "
                    f"{type(error).__name__}: {error}"
                ) from error
