"""The demo molecules: enough, distinct, always the same, and usable as tasks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen

from bench.errors import RequestError
from tasks import catalogue
from tasks.molecules.demo import demo_corpus, demo_molecules, demo_rows
from tasks.molecules.table import molecule_tasks, prepare_table


def test_molecules_are_many_small_distinct_and_canonical() -> None:
    found = demo_molecules()
    assert len(found) == len(set(found)) >= 2600
    mols = [Chem.MolFromSmiles(smiles) for smiles in found]
    assert [Chem.MolToSmiles(mol) for mol in mols] == list(found)
    assert max(mol.GetNumHeavyAtoms() for mol in mols) <= 25


def test_another_process_finds_the_same_in_the_same_order() -> None:
    code = "from tasks.molecules.demo import demo_molecules; print('\\n'.join(demo_molecules()))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert tuple(printed.split()) == demo_molecules()


def test_tasks_and_corpus_share_no_molecule() -> None:
    rings, logp = ({smiles for smiles, _ in demo_rows(name)} for name in ("rings", "logp"))
    corpus = set(demo_corpus())
    assert len(rings) == len(logp) == 320
    assert len(corpus) >= 1900
    assert len(rings | logp | corpus) == len(demo_molecules())


def test_labels_are_what_they_say() -> None:
    for smiles, (label,) in demo_rows("rings"):
        # Euler's formula counts the rings of a connected graph without ring perception.
        mol = Chem.MolFromSmiles(smiles)
        assert label == float(mol.GetNumBonds() - mol.GetNumAtoms() + 1 >= 2)
    for smiles, (label,) in demo_rows("logp")[:50]:
        assert label == pytest.approx(Crippen.MolLogP(Chem.MolFromSmiles(smiles)))


def test_every_part_of_the_split_can_be_scored() -> None:
    for task in molecule_tasks(catalogue.suites()["demo"]):
        table = prepare_table(task, mirror=None, download=False)
        assert len(table.smiles) == task.rows
        for part in (table.train, table.val, table.test):
            labels = table.labels[part]
            if task.kind == "classification":
                assert set(np.unique(labels)) == {0.0, 1.0}
                assert 0.25 < labels.mean() < 0.75
            else:
                assert labels.std() > 0.5


def test_an_unknown_demo_task_is_named() -> None:
    with pytest.raises(RequestError, match="'ring' is not known; did you mean rings"):
        demo_rows("ring")
