"""Names to things: built in by a decorator, from third parties by entry points."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
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
        names a module (imported for its decorators) or an object that is registered as it is.
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
        """All names, sorted."""
        self._load()
        return sorted(self._entries)

    def get(self, name: str) -> T:
        """Return the entry called ``name``.

        Raises
        ------
        RequestError: naming the nearest known names.
        """
        self._load()
        if name not in self._entries:
            raise RequestError(f"{self.kind}: {name!r} is not known; {nearest(name, self._entries)}")
        return self._entries[name]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.ispkg:
                importlib.import_module(f"{self.package}.{module.name}")
        for point in entry_points(group=self.group):
            found = point.load()
            if not isinstance(found, type(package)):
                self.register(point.name)(found)
