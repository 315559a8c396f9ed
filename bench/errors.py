"""Errors that a user can cause, each with the exit code of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pydantic import ValidationError

MANY = 40  # names that would bury the nearest one


class BenchError(Exception):
    """Anything a user can put right. Shown as one line, never as a traceback."""

    exit_code = 2


class RequestError(BenchError):
    """The request was wrong: a name, a value, a folder."""

    exit_code = 2


class NotPreparedError(BenchError):
    """Data, a checkpoint or a cache is missing or damaged; the message names the command that gets it."""

    exit_code = 3


class Fault(NamedTuple):
    """What is wrong with a value that pydantic refused."""

    places: tuple[int | str, ...]  # from the outside in; none if the check was of several values
    unknown: bool  # nothing of that name exists
    message: str
    got: str  # ", got VALUE", or empty where that says nothing


def first_fault(error: ValidationError) -> Fault:
    """Return the first fault, a name that does not exist before all others: it is why another one is missing."""
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    silent = first["type"] in ("missing", "value_error", "extra_forbidden")
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    got = "" if silent else f", got {first['input']!r}"
    return Fault(first["loc"], first["type"] == "extra_forbidden", message, got)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the tail of an error message: the nearest of ``names``, then all of them where they are not too many."""
    known = sorted(names)
    lowered = {known_name.lower(): known_name for known_name in known}
    close = [lowered[match] for match in get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.5)]
    if close and len(known) > MANY:
        return f"did you mean {' or '.join(close)}?"
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known: {', '.join(known) or 'none'}"
