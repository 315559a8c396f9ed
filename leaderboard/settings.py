"""Records that were made with different settings, and stand under one name all the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records import Record
from leaderboard.grid import cell_key
from leaderboard.tables.words import listed, ranges


@dataclass(frozen=True)
class Odd:
    """Records whose settings are not the commonest of their group, and the first setting that differs."""

    places: list[int]  # of these records
    common: list[int]  # of those with the commonest settings
    name: str
    value: Any
    usual: Any
    more: int  # further settings that differ

    @property
    def others(self) -> str:
        """That more differs, in words."""
        return f"; {self.more} more setting{'s differ' if self.more > 1 else ' differs'}" if self.more else ""


def odd_ones(group: Sequence[Record], counts: Callable[[str], bool] = lambda name: True) -> list[Odd]:
    """One for each content of ``settings`` in the group that is not the commonest.

    A setting that some records lack came into being after them. It does not count: their results have kept their
    names because its default changes none.

    Parameters
    ----------
    counts: whether a setting, named as in "method.steps", is looked at.
    """
    if all(record.settings == group[0].settings for record in group):
        return []
    flat = [{name: value for name, value in _flat(record.settings) if counts(name)} for record in group]
    known = set.intersection(*(set(settings) for settings in flat))
    flat = [{name: value for name, value in settings.items() if name in known} for settings in flat]
    contents: dict[str, list[int]] = defaultdict(list)
    for place, settings in enumerate(flat):
        contents[json.dumps(list(settings.items()))].append(place)
    common, *others = sorted(contents.values(), key=len, reverse=True)
    found = []
    for places in others:
        usual, odd = flat[common[0]], flat[places[0]]
        names = [name for name in sorted(usual.keys() | odd.keys()) if usual.get(name) != odd.get(name)]
        if names:  # none: 1 and 1.0
            found.append(Odd(places, common, names[0], odd.get(names[0]), usual.get(names[0]), len(names) - 1))
    return found


def mixed_settings(records: Iterable[Record]) -> list[str]:
    """Name the cells of one protocol whose seeds differ in settings, one line for those that differ alike."""
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.seed):  # in whatever order the folders are given
        groups[cell_key(record)[:4]].append(record)
    alike: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for _, group in sorted(groups.items()):
        for odd in odd_ones(group):
            seeds, usual = (ranges(sorted(group[k].seed for k in places)) for places in (odd.places, odd.common))
            text = f"{odd.name} is {odd.value!r} at seeds {seeds}, {odd.usual!r} at seeds {usual}{odd.others}"
            alike[text][group[0].task].append(group[0].method)
    return [
        f"{'; '.join(f'{listed(methods)} on {task}' for task, methods in cells.items())}: {text}."
        for text, cells in alike.items()
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
