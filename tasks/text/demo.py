"""Sentences that need no file: a small grammar of people in good and bad moods, and a label computed from it.

The label is the mood of the one who acts, who is named first. Half of the sentences name two people of
different moods: there the words alone say nothing, and only their order tells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import RequestError, nearest

TASKS = ("mood",)
PARTS = {"train": 256, "val": 32, "test": 32}  # multiples of 4, so that each has all pairs of moods equally often

MOODS = (
    ("angry", "bitter", "cold", "cruel", "gloomy", "rude"),
    ("cheerful", "friendly", "gentle", "kind", "patient", "warm"),
)
PEOPLE = ("baker", "doctor", "farmer", "guard", "judge", "painter", "poet", "sailor", "singer", "teacher")
VERBS = ("answered", "called", "followed", "found", "greeted", "passed", "visited", "watched")
PLACES = ("at the market", "behind the school", "in the garden", "near the river", "on the bridge")
TIMES = ("after lunch", "at noon", "before the rain", "last week", "yesterday")
TEMPLATES = (
    "{actor} {verb} {other} {place}.",
    "{time}, {actor} {verb} {other}.",
    "{time}, {actor} {verb} {other} {place}.",
    "{actor} {verb} {other} {place} {time}.",
)
SENTENCES = 6_220_800  # that the grammar has


class Rows(NamedTuple):
    """A task's N rows and the row numbers of its three parts."""

    first: tuple[str, ...]
    second: None
    labels: NDArray[np.float64]  # (N, 1), class numbers
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]


def demo_rows(name: str) -> Rows:
    """Return a demo task, always the same. ``mood``: 1 if the one who acts is in a good mood, 0 if in a bad one.

    Raises
    ------
    RequestError: if there is no such task.
    """
    if name not in TASKS:
        raise RequestError(f"file: demo text {name!r} is not known; {nearest(name, TASKS)}")
    rows = _draw(sum(PARTS.values()), 0, name)
    labels = np.array(list(rows.values()), dtype=np.float64)[:, None]
    train, val, test = np.split(np.arange(len(rows)), np.cumsum(list(PARTS.values()))[:-1])
    return Rows(tuple(rows), None, labels, train, val, test)


def demo_sentences(count: int, seed: int) -> tuple[str, ...]:
    """Return ``count`` distinct sentences that are in no demo task: a longer list begins with the shorter one.

    Raises
    ------
    RequestError: if they are more than half of what the grammar has.
    """
    if count > SENTENCES // 2:
        raise RequestError(f"text.sentences: expected at most {SENTENCES // 2:,} of the demo's grammar, got {count:,}")
    return tuple(_draw(count, seed, "corpus", {sentence for name in TASKS for sentence in demo_rows(name).first}))


def _draw(count: int, seed: int, purpose: str, taken: Collection[str] = ()) -> dict[str, int]:
    """Return distinct sentences with the actor's mood; any four in a row have all pairs of moods."""
    from tasks.randomness import derive

    found: dict[str, int] = {}
    attempt = 0
    while len(found) < count:
        actor, other = len(found) % 2, len(found) // 2 % 2
        sentence = _sentence(derive(seed, "demo text", purpose, attempt), actor, other)
        attempt += 1
        if sentence not in taken and sentence not in found:
            found[sentence] = actor
    return found


def _sentence(number: int, actor: int, other: int) -> str:
    """Return the sentence that ``number`` chooses among those of an actor and another person in these moods."""

    def choose(options: Sequence[str]) -> str:
        nonlocal number
        number, place = divmod(number, len(options))
        return options[place]

    one = choose(PEOPLE)
    two = choose([person for person in PEOPLE if person != one])
    text = choose(TEMPLATES).format(
        actor=f"the {choose(MOODS[actor])} {one}",
        other=f"the {choose(MOODS[other])} {two}",
        verb=choose(VERBS),
        place=choose(PLACES),
        time=choose(TIMES),
    )
    return text[0].upper() + text[1:]
