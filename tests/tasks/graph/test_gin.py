"""The GIN in both forms against plain dense references, ogb's encoders and reverse mode."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import forward_ad

from methods.hypergradient.functional import as_function
from tasks.graph.features import ogb_features
from tasks.graph.gin import (
    MASKED_ATOM,
    MASKED_BOND,
    OGB_ATOMS,
    OGB_BONDS,
    BatchNorm,
    Gin,
    build_gin,
    mean_by_molecule,
)
from tests.tasks.graph.dense import FORMS, ROWS, Form, dense, draws, graphs, network


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 1),
    seed=st.integers(0, 10**6),
    density=st.sampled_from([0.0, 0.4, 1.0]),
    training=st.booleans(),
)
def test_equals_the_dense_reference(form: Form, sizes: list[int], seed: int, density: float, training: bool) -> None:
    net = network(form, seed=seed).train(training)
    atoms, bonds, ends, _ = graphs(form, sizes, seed, density)
    expected = dense(net, form, atoms, bonds, ends, training)
    torch.testing.assert_close(net(atoms, bonds, ends), expected)


def test_published_layout() -> None:
    net = build_gin("published", 5, 300, 0.5, draws(0))
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    expected = {"x_embedding1.weight": (120, 300), "x_embedding2.weight": (3, 300)}
    for k in range(5):
        expected |= {
            f"gnns.{k}.mlp.0.weight": (600, 300),
            f"gnns.{k}.mlp.0.bias": (600,),
            f"gnns.{k}.mlp.2.weight": (300, 600),
            f"gnns.{k}.mlp.2.bias": (300,),
            f"gnns.{k}.edge_embedding1.weight": (6, 300),
            f"gnns.{k}.edge_embedding2.weight": (3, 300),
            f"batch_norms.{k}.num_batches_tracked": (),
        }
        expected |= {f"batch_norms.{k}.{name}": (300,) for name in ("weight", "bias", "running_mean", "running_var")}
    assert shapes == expected


def test_ogb_form_equals_gine_and_the_encoders_of_ogb() -> None:
    ogb_features()
    from ogb.graphproppred.mol_encoder import AtomEncoder, BondEncoder
    from torch_geometric.nn import GINEConv, global_mean_pool

    layers, width = 2, 8
    net = network("ogb", layers, width)
    atom_encoder, bond_encoders, convolutions, norms = AtomEncoder(width), [], [], []
    state = net.state_dict()

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}

    def tables(prefix: str, encoder: nn.Module, name: str) -> None:
        known = encoder.state_dict()
        own = {f"{name}.{key}": tensor for key, tensor in part(prefix).items()}
        assert list(known) == list(own)
        first = f"{name}.0.weight"
        assert len(own[first]) == len(known[first]) + 1  # the row to mask
        encoder.load_state_dict(own | {first: own[first][:-1]})

    tables("atom_encoder.tables.", atom_encoder, "atom_embedding_list")
    for k in range(layers):
        bond_encoders.append(BondEncoder(width))
        tables(f"gnns.{k}.bond_encoder.tables.", bond_encoders[k], "bond_embedding_list")
        mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        convolutions.append(GINEConv(mlp, train_eps=True))
        convolutions[k].load_state_dict(part(f"gnns.{k}.conv."))
        norms.append(nn.BatchNorm1d(width))
        norms[k].load_state_dict(part(f"batch_norms.{k}."))
    oracle = nn.ModuleList([atom_encoder, *bond_encoders, *convolutions, *norms]).double()
    atoms, bonds, ends, molecule = graphs("ogb", [5, 3, 1, 7], seed=4)
    atoms[:, 0], bonds[:, 0] = atoms[:, 0].clamp(max=MASKED_ATOM - 1), bonds[:, 0].clamp(max=MASKED_BOND - 1)
    for training in (False, True):
        oracle.train(training)
        net.train(training)
        h = atom_encoder(atoms)
        for k in range(layers):
            h = norms[k](convolutions[k](h, ends, bond_encoders[k](bonds)))
            h = torch.relu(h) if k + 1 < layers else h
        states = net(atoms, bonds, ends)
        torch.testing.assert_close(states, h)
        torch.testing.assert_close(net.pool(states, molecule, 4), global_mean_pool(h, molecule))


def test_table_sizes_are_those_of_ogb_and_a_row_to_mask() -> None:
    ogb = ogb_features()
    atoms, bonds = ogb.get_atom_feature_dims(), ogb.get_bond_feature_dims()
    assert (atoms[0] + 1, *atoms[1:]) == OGB_ATOMS
    assert (bonds[0] + 1, *bonds[1:]) == OGB_BONDS
    for atom_rows, bond_rows in ROWS.values():
        assert (atom_rows[0] - 1, bond_rows[0] - 1) == (MASKED_ATOM, MASKED_BOND)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_pooled_output_does_not_depend_on_the_order_of_atoms_and_bonds(form: Form, seed: int) -> None:
    net = network(form).train()
    sizes = [4, 1, 6]
    atoms, bonds, ends, molecule = graphs(form, sizes, seed)
    expected = net.pool(net(atoms, bonds, ends), molecule, len(sizes))
    order = torch.randperm(len(atoms), generator=draws(seed))
    edges = torch.randperm(ends.shape[1], generator=draws(seed + 1))
    place = torch.argsort(order)
    got = net.pool(net(atoms[order], bonds[edges], place[ends[:, edges]]), molecule[order], len(sizes))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("form", FORMS)
def test_molecules_do_not_see_each_other_in_evaluation(form: Form) -> None:
    net = network(form).eval()
    sizes = [3, 1, 5]
    atoms, bonds, ends, molecule = graphs(form, sizes, seed=1)
    together = net.pool(net(atoms, bonds, ends), molecule, 3)
    for index in range(3):
        inside, on = molecule == index, molecule[ends[0]] == index
        alone = net(atoms[inside], bonds[on], ends[:, on] - sum(sizes[:index]))
        torch.testing.assert_close(net.pool(alone, molecule[inside] * 0, 1)[0], together[index])


@pytest.mark.parametrize("form", FORMS)
def test_a_molecule_of_one_atom_in_training(form: Form) -> None:
    net = network(form, dropout=0.0).train()
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    atoms, bonds, ends, molecule = graphs(form, [1], seed=2)
    assert bonds.shape == (0, len(ROWS[form][1]))
    states = net(atoms, bonds, ends)
    for name, tensor in net.named_buffers():
        assert torch.equal(tensor, before[name]), name
    torch.testing.assert_close(states, net.eval()(atoms, bonds, ends))  # by the running statistics
    assert bool(states.isfinite().all())
    assert net.train()(atoms[:0], bonds, ends).shape == (0, 6)
    for name, tensor in net.named_buffers():
        assert torch.equal(tensor, before[name]), name
    net.pool(states, molecule, 1).sum().backward()


def test_batch_norm_is_that_of_torch_otherwise() -> None:
    ours, torchs = BatchNorm(3), nn.BatchNorm1d(3)
    rows = torch.randn((4, 3), generator=draws(0))
    assert torch.equal(ours(rows), torchs(rows))
    assert ours.state_dict().keys() == torchs.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, torchs.state_dict()[name]), name


def test_mean_by_molecule() -> None:
    states = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]])
    got = mean_by_molecule(states, torch.tensor([2, 0, 2], dtype=torch.int32), 4)
    assert got.tolist() == [[3.0, 4.0], [0.0, 0.0], [3.0, 5.5], [0.0, 0.0]]


@pytest.mark.parametrize("form", FORMS)
def test_small_integers_are_welcome(form: Form) -> None:
    net = network(form).eval()
    atoms, bonds, ends, _ = graphs(form, [4, 5], seed=3)
    got = net(atoms.to(torch.uint8), bonds.to(torch.int16), ends.to(torch.int32))
    assert torch.equal(got, net(atoms, bonds, ends))


@pytest.mark.parametrize("form", FORMS)
def test_forward_mode_equals_reverse_mode(form: Form) -> None:
    """Slopes of two losses through batch norm in training, scatter and mean; and a product with the Hessian."""
    encoder = network(form, width=5).train()
    head = nn.Linear(5, 3).double()
    atoms, bonds, ends, molecule = graphs(form, [4, 1, 6, 3], seed=5)

    def loss(encoder: nn.Module, head: nn.Module) -> Tensor:
        assert isinstance(encoder, Gin)
        states = encoder(atoms, bonds, ends)
        out = head(encoder.pool(states, molecule, 4))
        return torch.stack([out.pow(2).mean(), nn.functional.cross_entropy(out, torch.tensor([0, 1, 2, 0]))])

    function, present = as_function(encoder, head, loss)
    before = {name: tensor.clone() for name, tensor in encoder.named_buffers()}
    own = draws(7)
    along = {name: torch.randn(tensor.shape, generator=own, dtype=torch.float64) for name, tensor in present.items()}
    with forward_ad.dual_level():
        point = {name: forward_ad.make_dual(present[name], step) for name, step in along.items()}
        slopes = forward_ad.unpack_dual(function(point)).tangent
    values, by_func = torch.func.jvp(function, (present,), (along,))
    expected = []
    for index in range(2):
        gradient = torch.func.grad(lambda at, index=index: function(at)[index])(present)
        expected.append(sum((gradient[name] * along[name]).sum() for name in along))
    torch.testing.assert_close(slopes, torch.stack(expected))  # type: ignore[arg-type]
    torch.testing.assert_close(by_func, torch.stack(expected))  # type: ignore[arg-type]
    assert torch.equal(values, function(present))
    for name, tensor in encoder.named_buffers():
        assert torch.equal(tensor, before[name]), name

    def slope(at: dict[str, Tensor]) -> Tensor:
        gradient = torch.func.grad(lambda p: function(p)[1])(at)
        total: Tensor = sum(((gradient[name] * along[name]).sum() for name in along), torch.zeros(()))
        return total

    product = torch.func.grad(slope)(present)  # H u, reverse over reverse
    step = 1e-5
    moved = [{name: tensor + sign * step * along[name] for name, tensor in present.items()} for sign in (1, -1)]
    plus, minus = (torch.func.grad(lambda p: function(p)[1])(point) for point in moved)
    for name in ("encoder.gnns.0.mlp.0.weight", "encoder.gnns.0.conv.nn.0.weight", "head.weight"):
        if name in product:
            torch.testing.assert_close(product[name], (plus[name] - minus[name]) / (2 * step), rtol=1e-3, atol=1e-5)


def test_dropout_may_be_set_and_acts_in_training_alone() -> None:
    net = network("published", dropout=0.5)
    atoms, bonds, ends, _ = graphs("published", [20], seed=6)
    torch.manual_seed(0)
    dropped = net.train()(atoms, bonds, ends)
    share = (dropped == 0).double().mean().item()
    assert 0.3 < share < 0.7  # after the last layer too
    net.dropout = 0.0
    assert not bool((net(atoms, bonds, ends) == 0).any())
    net.dropout = 0.5
    assert not bool((net.eval()(atoms, bonds, ends) == 0).any())


@pytest.mark.parametrize("form", FORMS)
def test_start_is_seeded_and_leaves_the_global_generator_alone(form: Form) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (build_gin(form, 2, 8, 0.0, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name]), name
        assert bool(tensor.isfinite().all()), name
    differing = {name for name, tensor in one.named_parameters() if not torch.equal(tensor, other.state_dict()[name])}
    constant = {name for name, _ in one.named_parameters() if "norm" in name or "nn.1" in name or "eps" in name}
    assert differing == {name for name, _ in one.named_parameters()} - constant


def test_start_has_the_published_spread() -> None:
    net = build_gin("published", 1, 200, 0.0, draws(0))
    table, weight = net.x_embedding1.weight, net.gnns[0].mlp[0].weight
    assert table.abs().max().item() == pytest.approx(math.sqrt(6 / (120 + 200)), rel=0.01)  # Xavier-uniform
    assert weight.abs().max().item() == pytest.approx(1 / math.sqrt(200), rel=0.01)
    assert weight.std().item() == pytest.approx(1 / math.sqrt(200) / math.sqrt(3), rel=0.02)
    ogb = build_gin("ogb", 1, 8, 0.0, draws(0))
    assert ogb.gnns[0].conv.eps.tolist() == [0.0]
    assert bool((ogb.gnns[0].conv.nn[1].running_var == 1).all())
