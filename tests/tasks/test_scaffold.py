"""The scaffold split: cases by hand, laws, a second implementation, and pinned lists of the real sets."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rdkit import Chem

from tasks import catalogue
from tasks.molecules.scaffold import scaffold_of, scaffold_split
from tasks.molecules.table import prepare_table

PINNED = json.loads((Path(__file__).parent / "splits.json").read_text())
BIG = ("hiv", "muv", "qm9")


def brute_force(scaffolds: list[str]) -> tuple[list[int], list[int], list[int]]:
    """The same rule told another way: pick the next group again and again, count in exact tenths."""
    left = set(range(len(scaffolds)))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    while left:
        first = max(left, key=lambda i: (scaffolds.count(scaffolds[i]), scaffolds.index(scaffolds[i]), -i))
        group = sorted(i for i in left if scaffolds[i] == scaffolds[first])
        left -= set(group)
        in_train, in_val = len(parts[0]), len(parts[1])
        if 10 * (in_train + len(group)) <= 8 * len(scaffolds):
            parts[0].extend(group)
        elif 10 * (in_train + in_val + len(group)) <= 9 * len(scaffolds):
            parts[1].extend(group)
        else:
            parts[2].extend(group)
    return sorted(parts[0]), sorted(parts[1]), sorted(parts[2])


def test_ties_put_the_larger_first_index_first() -> None:
    # Ten groups of one: 9 is walked first, so the earliest rows end up in validation and test.
    assert scaffold_split(list("abcdefghij")) == ([2, 3, 4, 5, 6, 7, 8, 9], [1], [0])
    # Sizes 2, 2, 1: among equals b (first index 2) goes before a (first index 0); 0.8 N = 4.
    assert scaffold_split(["a", "a", "b", "b", "c"]) == ([0, 1, 2, 3], [], [4])


def test_a_later_small_group_still_goes_to_training() -> None:
    # N = 10: a (5) fits 8; b (4) only fits 9; c (1) fits 8 again.
    assert scaffold_split(list("aaaaabbbbc")) == ([0, 1, 2, 3, 4, 9], [5, 6, 7, 8], [])
    # N = 20: a (10) fits 16; b (9) fits neither 16 nor 18; c (1) fits 16 again.
    assert scaffold_split(["a"] * 10 + ["b"] * 9 + ["c"]) == ([*range(10), 19], [], [*range(10, 19)])


def test_limits_are_real_numbers() -> None:
    # N = 11: limits 8.8 and 9.9. Rounded up to 9 and 10, eight and one would both be in training.
    assert [len(part) for part in scaffold_split(["a"] * 8 + ["b", "c", "d"])] == [8, 1, 2]
    # N = 5: a group of exactly 0.8 N still fits.
    assert scaffold_split(["a"] * 4 + ["b"]) == ([0, 1, 2, 3], [], [4])


def test_molecules_without_a_ring_form_one_group() -> None:
    assert [scaffold_of(Chem.MolFromSmiles(smiles)) for smiles in ("C", "CCO", "[Na+].[Cl-]")] == ["", "", ""]
    train, val, test = scaffold_split(["", "a", "", "b", "", "c", "", "d", "", "e"])
    assert {0, 2, 4, 6, 8} <= set(train)
    assert (val, test) == ([3], [1])


def test_scaffolds_drop_substituents_and_keep_chirality() -> None:
    def of(smiles: str) -> str:
        return scaffold_of(Chem.MolFromSmiles(smiles))

    assert of("Cc1ccccc1CCO") == of("c1ccccc1") == "c1ccccc1"
    assert of("OCc1ccc(Cc2ccccn2)cc1") == "c1ccc(Cc2ccccn2)cc1"
    left, right = of("C1CC[C@H](C1)Oc1ccccc1"), of("C1CC[C@@H](C1)Oc1ccccc1")
    assert left == right  # no stereocentre here
    left, right = of("O=C1C[C@H](c2ccccc2)CN1C"), of("O=C1C[C@@H](c2ccccc2)CN1C")
    assert left != right


@given(st.lists(st.sampled_from("abcdefg"), max_size=60))
@example([])
@example(["a"])
def test_parts_are_disjoint_cover_all_and_keep_groups_whole(scaffolds: list[str]) -> None:
    parts = scaffold_split(scaffolds)
    assert sorted(index for part in parts for index in part) == list(range(len(scaffolds)))
    assert all(part == sorted(part) for part in parts)
    groups = [{scaffolds[index] for index in part} for part in parts]
    assert sum(len(group) for group in groups) == len(set(scaffolds))
    assert scaffold_split(scaffolds) == parts
    assert scaffold_split([f"other {scaffold}" for scaffold in scaffolds]) == parts  # names do not matter
    assert parts == brute_force(scaffolds)


@given(st.lists(st.integers(0, 25), min_size=1, max_size=60))
def test_a_second_implementation_agrees_on_many_small_groups(groups: list[int]) -> None:
    scaffolds = [str(group) for group in groups]
    assert scaffold_split(scaffolds) == brute_force(scaffolds)


@pytest.mark.data
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in BIG)) for n in PINNED["splits"]])
def test_splits_of_the_real_sets_stay_as_pinned(mirror: Path, name: str) -> None:
    # Scaffold strings depend on RDKit: another version may rightly give other lists, and other checksums in records.
    if version("rdkit") != PINNED["rdkit"]:
        pytest.skip(f"pinned with RDKit {PINNED['rdkit']}")
    table = prepare_table(catalogue.get(f"moleculenet:{name}"), mirror=str(mirror), download=False)
    found = {part: table.counts[part] for part in ("train", "val", "test")}
    assert found | {"split_checksum": table.split_checksum} == PINNED["splits"][name]


def test_pinned_validation_sizes_are_those_measured_independently() -> None:
    sizes = {name: PINNED["splits"][name]["val"] for name in ("bace", "bbbp", "esol", "freesolv")}
    assert sizes == {"bace": 151, "bbbp": 204, "esol": 113, "freesolv": 64}
    assert list(PINNED["splits"]) == [task.name for task in catalogue.suites()["moleculenet"].tasks]
