"""Parts of molecules against breadth-first searches written out, on random graphs that may be disconnected."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import RequestError
from tasks.graph.cache import Packed
from tasks.graph.subgraphs import connected_crop, contexts, distances, foremost, induced, sizes
from tests.tasks.graph.made import Made, chain, pack


@st.composite
def molecules(draw: st.DrawFn) -> Made:
    """Chains with some bonds broken and some added, so that distances are long and rings and fragments exist."""
    size = draw(st.integers(1, 14))
    broken = draw(st.sets(st.integers(0, 13), max_size=2))
    atom = st.integers(0, size - 1)
    added = draw(st.lists(st.tuples(atom, atom), max_size=3))
    bonds = {(a, a + 1) for a in range(size - 1) if a not in broken} | {(min(p), max(p)) for p in added if p[0] != p[1]}
    return Made(size, frozenset(bonds), draw(atom))


def centres_of(made: list[Made]) -> np.ndarray:
    return np.cumsum([0, *(one.size for one in made[:-1])]) + [one.centre for one in made]


def described(packed: Packed) -> tuple[list[tuple[int, ...]], Counter[tuple[int, ...]]]:
    """Atoms as they were named before, in order, and directed bonds by molecule and ends with their features.

    Fails if ``molecule`` does not number what is left without gaps.
    """
    assert packed.molecule.tolist() == sorted(packed.molecule)
    assert set(packed.molecule.tolist()) == set(range(packed.count))
    atoms = [tuple(row) for row in packed.atoms.tolist()]
    assert len({(row[0], number) for row, number in zip(atoms, packed.molecule.tolist(), strict=True)}) == packed.count
    bonds: Counter[tuple[int, ...]] = Counter()
    for (source, target), features in zip(packed.ends.T.tolist(), packed.bonds.tolist(), strict=True):
        assert atoms[source][0] == atoms[target][0]
        bonds[(atoms[source][0], atoms[source][1], atoms[target][1], *features)] += 1
    return atoms, bonds


def expected(made: list[Made], kept: dict[int, set[int]]) -> tuple[list[tuple[int, ...]], Counter[tuple[int, ...]]]:
    atoms = [(index, atom) for index in sorted(kept) for atom in sorted(kept[index])]
    bonds: Counter[tuple[int, ...]] = Counter()
    for index, chosen in kept.items():
        for a, b in made[index].inside(chosen):
            bonds[(index, a, b, a, b)] += 1
            bonds[(index, b, a, a, b)] += 1
    return atoms, bonds


# --- context prediction


@settings(max_examples=150, deadline=None)
@given(
    st.lists(molecules(), min_size=1, max_size=5),
    st.sampled_from([(5, (4, 7)), (2, (1, 3)), (1, (0, 1)), (3, (1, 2))]),
)
def test_contexts_equal_a_search_for_each_molecule(made: list[Made], edges: tuple[int, tuple[int, int]]) -> None:
    radius, (inner, outer) = edges
    substructures, rings, overlaps = {}, {}, []
    for index, one in enumerate(made):
        away = one.away(one.centre)
        near, ring = ({a for a, d in away.items() if low < d <= high} for low, high in ((-1, radius), (inner, outer)))
        if ring & near:
            substructures[index], rings[index] = near, ring
            overlaps += [(index, atom) for atom in sorted(ring & near)]
    packed = pack(made)
    found = contexts(packed, centres_of(made), radius, (inner, outer))
    assert described(found.substructure) == expected(made, substructures)
    assert described(found.context) == expected(made, rings)
    assert [tuple(row) for row in found.substructure.atoms[found.centre].tolist()] == [
        (index, made[index].centre) for index in sorted(substructures)
    ]
    assert [tuple(row) for row in found.context.atoms[found.overlap].tolist()] == overlaps
    assert found.skipped == len(made) - len(rings)


@settings(max_examples=50, deadline=None)
@given(st.lists(molecules(), min_size=1, max_size=4))
def test_distances_equal_a_search(made: list[Made]) -> None:
    away = [one.away(one.centre) for one in made]
    wanted = [away[index].get(atom, math.inf) for index, one in enumerate(made) for atom in range(one.size)]
    assert distances(pack(made), centres_of(made)).tolist() == wanted


def test_a_chain_has_the_published_ring() -> None:
    """From the end of a chain of 9: the substructure is 0 .. 5, the context 5 .. 7, and 5 is in both."""
    found = contexts(pack([chain(9), Made(3, frozenset({(0, 1)}), 1)]), np.array([0, 10]), 5, (4, 7))
    assert found.substructure.atoms[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.context.atoms[:, 1].tolist() == [5, 6, 7]
    assert (found.centre.tolist(), found.overlap.tolist(), found.skipped) == ([0], [0], 1)


@pytest.mark.parametrize(("radius", "ring"), [(4, (4, 7)), (5, (4, 4)), (5, (7, 4))])
def test_a_ring_without_overlap_is_refused(radius: int, ring: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match=r"graph\.context: expected an inner edge below"):
        contexts(pack([Made(2, frozenset({(0, 1)}), 0)]), np.array([0]), radius, ring)


# --- crops


def crop(made: list[Made], seed: int, share: float = 0.15) -> np.ndarray:
    draws, packed = np.random.default_rng(seed), pack(made)
    return connected_crop(
        packed, draws.random(len(packed.molecule)), draws.exponential(size=len(packed.molecule)), share
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(molecules(), min_size=1, max_size=5), st.integers(0, 99), st.sampled_from([0.15, 0.5, 0.9]))
def test_crops_are_connected_and_of_the_published_size(made: list[Made], seed: int, share: float) -> None:
    packed, keep = pack(made), crop(made, seed, share)
    for index, one in enumerate(made):
        kept = set(packed.atoms[keep & (packed.molecule == index), 1].tolist())
        assert len(kept) == math.floor((1 - share) * one.size) + 1
        part = Made(one.size, frozenset(one.inside(kept)), 0)
        fragments = {frozenset(one.away(atom)) for atom in kept}
        parts = {frozenset(part.away(atom)) for atom in kept}
        assert len(parts) == len(fragments)  # one part of each fragment that it touches
        assert sum(whole not in parts for whole in fragments) <= 1  # and all of a fragment before the next is begun
    assert described(induced(packed, keep))[0] == [tuple(row) for row in packed.atoms[keep].tolist()]


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (2, 2), (6, 6), (7, 6), (20, 18), (21, 18), (222, 189)])
def test_a_crop_keeps_one_atom_more_than_the_share(size: int, kept: int) -> None:
    assert crop([chain(size)], 0).sum() == kept


def test_a_share_of_zero_keeps_all() -> None:
    assert crop([Made(3, frozenset({(0, 1)}), 0)], 0, 0.0).all()


def grown(one: Made, number: int, draws: np.random.Generator) -> frozenset[int]:
    """The crop as published, an atom at a time."""
    kept: list[int] = []
    waiting: set[int] = set()
    while len(kept) < number:
        choice = sorted(waiting) or sorted(set(range(one.size)) - set(kept))
        kept.append(int(draws.choice(choice)))
        waiting = (waiting | set(one.near(kept[-1]))) - set(kept)
    return frozenset(kept)


def test_crops_have_the_law_of_growth_by_single_atoms() -> None:
    """Rings with branches, beside a pair: frequencies of all crops of 5 of the 9 atoms, 4000 draws of either kind."""
    one = Made(9, frozenset({(0, 1), (1, 2), (2, 3), (0, 3), (1, 3), (1, 4), (4, 5), (1, 6), (7, 8)}), 0)
    ours = Counter(frozenset(row.nonzero()[0].tolist()) for row in crop([one] * 4000, 0, 0.5).reshape(4000, 9))
    draws = np.random.default_rng(1)
    theirs = Counter(grown(one, 5, draws) for _ in range(4000))
    # Chi-squared of two samples of one size: its mean is the number of degrees of freedom.
    both = set(ours) | set(theirs)
    statistic = sum((ours[key] - theirs[key]) ** 2 / (ours[key] + theirs[key]) for key in both)
    assert len(both) > 15
    assert statistic < len(both) - 1 + 4 * math.sqrt(2 * (len(both) - 1))


# --- common


def test_foremost_sorts_within_molecules() -> None:
    packed = pack([Made(3, frozenset(), 0), Made(4, frozenset(), 0)])
    first, second = np.array([1.0, 0, 0, 5, 5, 5, 4]), np.array([0.0, 2, 1, 1, 3, 2, 9])
    assert foremost(packed, np.array([1, 3]), first, second).tolist() == [False, False, True, True, False, True, True]
    assert sizes(packed).tolist() == [3, 4]


def test_keeping_nothing_leaves_an_empty_graph() -> None:
    packed = pack([Made(3, frozenset({(0, 1)}), 0)])
    empty = induced(packed, np.zeros(3, dtype=bool))
    assert (empty.atoms.shape, empty.bonds.shape, empty.ends.shape, empty.count) == ((0, 2), (0, 2), (2, 0), 0)
