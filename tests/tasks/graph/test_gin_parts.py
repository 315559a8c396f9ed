"""A GIN that goes through its batches in parts: cut between molecules, with the result of the whole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.stages.micro_batches import in_micro_batches, is_divisible
from tests.tasks.graph.dense import FORMS, Form, graphs, network
from tests.tasks.graph.small import modules, problem


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    seed=st.integers(0, 10**6),
    density=st.sampled_from([0.0, 0.4, 1.0]),
    count=st.integers(1, 8),
)
def test_parts_make_up_the_whole(form: Form, sizes: list[int], seed: int, density: float, count: int) -> None:
    net = network(form, seed=seed).eval()
    atoms, bonds, ends, _ = graphs(form, sizes, seed, density)
    parts = list(net.cut(count, atoms, bonds, ends))
    assert 1 <= len(parts) <= count
    assert torch.equal(torch.cat([part[0] for part in parts]), atoms)
    assert sum(len(part[1]) for part in parts) == len(bonds), "no bond is cut"
    torch.testing.assert_close(torch.cat([net(*part) for part in parts]), net(atoms, bonds, ends))


def test_molecules_of_equal_size_go_in_equal_parts() -> None:
    net = network("published")
    atoms, bonds, ends, _ = graphs("published", [3] * 8, 0, 1.0)
    assert [len(part[0]) for part in net.cut(4, atoms, bonds, ends)] == [6, 6, 6, 6]


def test_an_empty_batch_has_no_parts_and_passes() -> None:
    atoms, bonds, ends, _ = graphs("published", [2], 0, 1.0)
    nothing = atoms[:0], bonds[:0], ends[:, :0]
    assert list(network("published").cut(3, *nothing)) == []
    made, _ = problem()
    assert is_divisible(made)
    encoder = in_micro_batches(made, 3).encoder()
    assert encoder(*nothing).shape == (0, modules(made)[0].features)
