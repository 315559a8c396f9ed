"""SchNet against torch-geometric's with the same weights, its pairs against brute force, and its symmetries."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad

from methods.hypergradient.functional import as_function
from tasks.graph.schnet import SchNet, build_schnet, pairs

CUTOFF = 3.0


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0, width: int = 8, features: int = 5) -> SchNet:
    """In float64, with biases other than 0, so that each of them shows."""
    net = build_schnet(width, 6, 2, 7, CUTOFF, features, draws(seed)).double()
    own = draws(seed + 1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.rand(parameter.shape, generator=own))
    return net


def molecules(sizes: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    own, v = draws(seed), sum(sizes)
    numbers = torch.randint(119, (v,), generator=own)
    positions = 4 * torch.rand((v, 3), generator=own, dtype=torch.float64)
    return numbers, positions, torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def brute_force(positions: Tensor, molecule: Tensor, cutoff: float) -> set[tuple[int, int]]:
    v = len(positions)
    return {
        (i, j)
        for i in range(v)
        for j in range(v)
        if i != j and molecule[i] == molecule[j] and math.dist(positions[i].tolist(), positions[j].tolist()) < cutoff
    }


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    seed=st.integers(0, 10**6),
    cutoff=st.sampled_from([0.5, 2.0, 10.0]),
)
def test_pairs_equal_brute_force(sizes: list[int], seed: int, cutoff: float) -> None:
    _, positions, molecule = molecules(sizes, seed)
    got = pairs(positions, molecule, len(sizes), cutoff)
    listed = [tuple(pair) for pair in got.T.tolist()]
    assert len(listed) == len(set(listed))
    assert set(listed) == brute_force(positions, molecule, cutoff)


def test_equals_schnet_of_torch_geometric() -> None:
    from torch_geometric.nn.models import SchNet as Oracle

    net = network()

    def near(positions: Tensor, molecule: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.tensor(sorted(brute_force(positions, molecule, CUTOFF))).T
        return found, (positions[found[0]] - positions[found[1]]).norm(dim=-1)

    oracle = Oracle(8, 6, 2, 7, CUTOFF, interaction_graph=near, readout="mean")
    # GraphMVP's has another table of elements, and a vector for its output.
    oracle.embedding, oracle.lin1, oracle.lin2 = nn.Embedding(119, 8), nn.Linear(8, 8), nn.Linear(8, 5)
    missing, surplus = oracle.double().load_state_dict(net.state_dict(), strict=False)
    assert not surplus
    assert all(".mlp." in name for name in missing)  # these are conv.nn under a second name
    numbers, positions, molecule = molecules([4, 7, 1, 3], seed=3)
    got = net(numbers, positions, molecule, 4)
    assert got.shape == (4, 5)
    torch.testing.assert_close(got, oracle(numbers, positions, molecule))


def test_published_sizes() -> None:
    net = build_schnet(300, 128, 6, 51, 10.0, 300, draws(0))
    assert net.embedding.weight.shape == (119, 300)
    assert len(net.interactions) == 6
    assert net.lin2.weight.shape == (300, 300)
    torch.testing.assert_close(net.distance_expansion.offset, torch.arange(51) / 5)


def test_an_atom_without_partners() -> None:
    """One atom has no interaction but the biases of the blocks: its state goes through them and the two layers."""
    net = network()
    positions = torch.zeros(1, 3, dtype=torch.float64)
    got = net(torch.tensor([5]), positions, torch.tensor([0]), 1)

    def softplus(x: Tensor) -> Tensor:
        return torch.log(1 + torch.exp(x)) - math.log(2)

    h = net.embedding.weight[5]
    for block in net.interactions:
        h = h + block.lin(softplus(block.conv.lin2.bias))
    expected = net.lin2(softplus(net.lin1(h)))
    torch.testing.assert_close(got[0], expected)


def test_moving_turning_and_reordering_a_molecule_changes_nothing() -> None:
    net = network()
    numbers, positions, molecule = molecules([6, 1, 4], seed=4)
    expected = net(numbers, positions, molecule, 3)
    turn, _ = torch.linalg.qr(torch.randn((3, 3), generator=draws(5), dtype=torch.float64))
    shift = torch.randn((3, 3), generator=draws(6), dtype=torch.float64)[molecule]
    torch.testing.assert_close(net(numbers, positions @ turn + shift, molecule, 3), expected)
    order = torch.cat(
        [torch.randperm(6, generator=draws(7)), torch.tensor([6]), 7 + torch.randperm(4, generator=draws(8))]
    )
    torch.testing.assert_close(net(numbers[order], positions[order], molecule, 3), expected)
    alone = net(numbers[7:], positions[7:], molecule[7:] * 0, 1)
    torch.testing.assert_close(alone[0], expected[2])
    assert not torch.allclose(net(numbers, 1.1 * positions, molecule, 3), expected)


def test_forward_mode_equals_reverse_mode() -> None:
    net, head = network().train(), nn.Linear(5, 2).double()
    numbers, positions, molecule = molecules([4, 1, 5], seed=9)

    def loss(encoder: nn.Module, head: nn.Module) -> Tensor:
        out = head(encoder(numbers, positions, molecule, 3))
        return torch.stack([out.pow(2).mean(), torch.logsumexp(out, dim=1).sum()])

    function, present = as_function(net, head, loss)
    own = draws(10)
    along = {name: torch.randn(tensor.shape, generator=own, dtype=torch.float64) for name, tensor in present.items()}
    with forward_ad.dual_level():
        point = {name: forward_ad.make_dual(present[name], step) for name, step in along.items()}
        slopes = forward_ad.unpack_dual(function(point)).tangent
    by_func = torch.func.jvp(function, (present,), (along,))[1]
    for index in range(2):
        gradient = torch.func.grad(lambda at, index=index: function(at)[index])(present)
        assert all(bool(tensor.any()) for tensor in gradient.values())  # no parameter is left out
        expected = torch.stack([(gradient[name] * along[name]).sum() for name in along]).sum()
        torch.testing.assert_close(slopes[index], expected)
        torch.testing.assert_close(by_func[index], expected)


def test_start_is_seeded_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (build_schnet(8, 6, 2, 7, CUTOFF, 8, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, parameter in one.named_parameters():
        assert torch.equal(parameter, same.state_dict()[name]), name
        assert torch.equal(parameter, other.state_dict()[name]) == name.endswith("bias"), name
        assert bool(parameter.any()) != name.endswith("bias"), name
    bound = math.sqrt(6 / (8 + 8))  # Xavier-uniform
    assert one.lin1.weight.abs().max().item() == pytest.approx(bound, rel=0.1)
    assert one.lin1.weight.abs().max().item() <= bound


def test_a_probe_leaves_the_network_its_own_parameters() -> None:
    net, (numbers, positions, molecule) = network(), molecules([3, 4], 2)
    before = dict(net.named_parameters())
    function, present = as_function(
        net, nn.ModuleDict(), lambda encoder, _: encoder(numbers, positions, molecule, 2).sum()[None]
    )
    function(present)
    after = dict(net.named_parameters())
    assert before.keys() == after.keys()
    assert all(after[name] is parameter for name, parameter in before.items())
