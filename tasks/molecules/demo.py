"""Molecules that need no file: rings and chains with small substituents, and labels computed from them."""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import combinations

from bench.errors import RequestError, nearest

MOLECULES = 2640  # two tasks, and a corpus of 2000
PER_TASK = 320
TASKS = ("rings", "logp")

# Braces are the places of substituents.
SCAFFOLDS = (
    "C{}CC{}CC{}C",
    "C{}OCC{}C",
    "C{}C=CC{}C",
    "c1{}c{}c{}ccc1",
    "c1{}nc{}c{}cc1",
    "c1{}ncc{}c{}n1",
    "c1{}nnc{}cc1",
    "c1{}oc{}cc1",
    "c1{}sc{}c{}c1",
    "c1{}scc{}n1",
    "c1{}[nH]c{}cc1",
    "c1{}[nH]cc{}n1",
    "C1{}CC{}C{}C1",
    "C1{}CC{}CCC1",
    "N1{}CC{}CCC1",
    "N1{}CC{}OCC1",
    "N1{}CCN{}CC1",
    "C1{}OCC{}C1",
    "c1{}c{}cc{}c2ccccc12",
    "c1{}nc{}cc2ccccc12",
    "c1{}c{}[nH]c2ccccc12",
    "c1{}oc2cc{}ccc2c1",
    "c1{}nc2cc{}ccc2[nH]1",
    "c1{}sc2c{}cccc2n1",
    "C1{}Cc2cc{}ccc2C1",
    "C1{}CCc2cc{}ccc2O1",
    "c1{}c{}cc(-c2ccccc2)cc1",
    "c1{}c{}cc(Cc2ccccc2)cc1",
    "c1{}c{}cc(Oc2ccncc2)cc1",
    "c1{}c{}cc(N2CCOCC2)cc1",
    "C1{}CC{}C1Nc1ccccc1",
    "c1{}ccc(-c2ccc{}s2)cn1",
    "c1{}ccc(C(=O)N2CCC{}CC2)cc1",
    "c1{}ccc2c(c1)Oc1c{}cccc1C2",
)
SUBSTITUENTS = ("C", "CC", "C(C)C", "O", "OC", "N", "F", "Cl", "Br", "C#N", "C=O", "C(=O)O", "C(N)=O", "C(F)(F)F", "CO")


@cache
def demo_molecules() -> tuple[str, ...]:
    """Return 2,640 distinct molecules as canonical SMILES, in a fixed mixed order."""
    from rdkit import Chem

    # Ordered by a hash of how each was put together: mixed, and the same everywhere.
    drafts = sorted(_drafts(), key=lambda draft: hashlib.sha256(draft.encode()).digest())
    found: dict[str, None] = {}
    for draft in drafts:
        if len(found) == MOLECULES:
            break
        found[Chem.MolToSmiles(Chem.MolFromSmiles(draft))] = None
    return tuple(found)


def demo_rows(name: str) -> list[tuple[str, list[float]]]:
    """Return the molecules of a demo task, each with its labels: a fixed subset of 320, none in two tasks.

    ``rings``: 1 if the molecule has two rings or more. ``logp``: the Crippen estimate of the octanol/water logP.

    Raises
    ------
    RequestError: if there is no such task.
    """
    from rdkit import Chem
    from rdkit.Chem import rdMolDescriptors

    if name not in TASKS:
        raise RequestError(f"file: demo data {name!r} is not known; {nearest(name, TASKS)}")
    start = TASKS.index(name) * PER_TASK
    rows = []
    for smiles in demo_molecules()[start : start + PER_TASK]:
        mol = Chem.MolFromSmiles(smiles)
        label = (
            float(mol.GetRingInfo().NumRings() >= 2)
            if name == "rings"
            else float(rdMolDescriptors.CalcCrippenDescriptors(mol)[0])
        )
        rows.append((smiles, [label]))
    return rows


def demo_corpus() -> tuple[str, ...]:
    """Return the molecules that are in no demo task: 2,000, unlabelled."""
    return demo_molecules()[len(TASKS) * PER_TASK :]


def _drafts() -> list[str]:
    """SMILES of every scaffold with one or two substituents in every pair of its places."""
    drafts = []
    for scaffold in SCAFFOLDS:
        places = scaffold.count("{}")
        for first, second in combinations(range(places), 2):
            for one in SUBSTITUENTS:
                for other in ("", *SUBSTITUENTS):
                    fill = [""] * places
                    fill[first] = f"({one})"
                    fill[second] = f"({other})" if other else ""
                    drafts.append(scaffold.format(*fill))
    return drafts
