"""The deterministic scaffold split: 80 / 10 / 10, whole Bemis-Murcko scaffolds, large ones to training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def scaffold_of(mol: Any) -> str:
    """Return the Bemis-Murcko scaffold of an RDKit molecule as SMILES with chirality; "" if it has no ring."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return str(MurckoScaffold.MurckoScaffoldSmiles(mol=mol, includeChirality=True))  # type: ignore[no-untyped-call]


def scaffold_split(scaffolds: Sequence[str]) -> tuple[list[int], list[int], list[int]]:
    """Split molecules 0 .. N-1 into training, validation and test, as ImageMol, Hu et al. 2020 and TapWeight do.

    Groups of one scaffold are walked once, in descending order of (size, smallest index). A group goes
    to training while that stays within 0.8 N, else to validation while both stay within 0.9 N, else to
    test. The limits are real numbers, so a small group may still go to training after a larger one did not.

    Returns
    -------
    Three ascending lists of indices; together they hold each index once.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, scaffold in enumerate(scaffolds):
        members[scaffold].append(index)
    train: list[int] = []
    val: list[int] = []
    test: list[int] = []
    for group in sorted(members.values(), key=lambda group: (len(group), group[0]), reverse=True):
        if len(train) + len(group) <= 0.8 * len(scaffolds):
            train += group
        elif len(train) + len(val) + len(group) <= 0.9 * len(scaffolds):
            val += group
        else:
            test += group
    return sorted(train), sorted(val), sorted(test)
