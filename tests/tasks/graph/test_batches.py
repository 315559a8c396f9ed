"""Batches on real molecules and on made ones whose features say what they are; and the losses on a whole batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from tasks.graph import objectives
from tasks.graph.batches import View, unlabelled_batch, view, whole_batch
from tasks.graph.cache import GraphCache, Graphs
from tasks.graph.gin import build_gin
from tasks.graph.objectives import GenerativeHead
from tasks.graph.schnet import build_schnet
from tasks.problem import Batch
from tasks.randomness import generator
from tasks.settings import GraphSettings
from tests.tasks.graph.made import Made, MadeConformers, MadeGraphs, chain

SMILES = [
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "C",
    "CC(=O)[O-].[Na+]",
    "CCCCCCCCCCCCCCCCCCCC",
    "C/C=C/C#N",
    "O=C(O)c1ccccc1OC(C)=O",
    "[NH3]->[Cu]",
]
SETTINGS = GraphSettings(
    features="published", layers=2, width=6, dropout=0.5, molecules=9, conformers=1, context=(1, 3), radius=2,
    schnet_width=6, schnet_filters=4, schnet_interactions=1, schnet_gaussians=4,
)  # fmt: skip
DATIVE = 6  # the molecule with a bond that is none of the four kinds


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    cache = GraphCache()
    cache.ensure(SMILES, 1, lambda _: None)
    return cache.load(SMILES)


def everybody(made: list[Made], conformers: int = 1) -> tuple[MadeGraphs, MadeConformers]:
    return MadeGraphs(made), MadeConformers(made, np.full(len(made), conformers))


def made_batch(made: list[Made], settings: GraphSettings = SETTINGS, conformers: int = 1, seed: int = 0) -> Batch:
    return unlabelled_batch(*everybody(made, conformers), torch.arange(len(made)), settings, generator(seed, "draws"))  # type: ignore[arg-type]


def real_batch(graphs: Graphs, settings: GraphSettings = SETTINGS, seed: int = 0) -> Batch:
    """A batch of all real molecules; positions are made."""
    sizes = np.bincount(graphs.batch(np.arange(len(SMILES)), "ogb").molecule)
    conformers = MadeConformers([chain(size) for size in sizes], np.ones(len(SMILES), dtype=np.int64))
    rows = torch.arange(len(SMILES))
    return unlabelled_batch(graphs, conformers, rows, settings, generator(seed, "draws"))  # type: ignore[arg-type]


# --- masks


@pytest.mark.parametrize("features", ["published", "ogb"])
def test_masks_hide_the_published_number_of_atoms_and_ask_for_their_types(graphs: Graphs, features: str) -> None:
    batch = real_batch(graphs, SETTINGS.model_copy(update={"features": features}))
    plain = graphs.batch(np.arange(len(SMILES)), features)  # type: ignore[arg-type]
    hidden = batch["masked.predicted"].numpy()
    number = np.bincount(plain.molecule[hidden], minlength=len(SMILES))
    assert number.tolist() == [int(0.15 * size + 1) for size in np.bincount(plain.molecule)]
    assert number.tolist() == [3, 1, 1, 4, 1, 2, 1]
    wanted = plain.atoms.copy()
    wanted[hidden] = [119] + [0] * (plain.atoms.shape[1] - 1)
    assert batch["masked.atoms"].tolist() == wanted.tolist()
    assert batch["masked.targets"].tolist() == plain.atoms[hidden, 0].tolist()
    assert batch["masked.bonds"].tolist() == plain.bonds.tolist()
    assert "masked.bond-targets" not in batch


@pytest.mark.parametrize("features", ["published", "ogb"])
def test_masked_bonds_are_those_of_hidden_atoms_each_asked_for_once(graphs: Graphs, features: str) -> None:
    batch = real_batch(graphs, SETTINGS.model_copy(update={"features": features, "mask_bonds": True}))
    plain = graphs.batch(np.arange(len(SMILES)), features)  # type: ignore[arg-type]
    hidden, wanted, asked = set(batch["masked.predicted"].tolist()), plain.bonds.copy(), {}
    for bond, (source, target) in enumerate(plain.ends.T.tolist()):
        if {source, target} & hidden:
            wanted[bond] = [5] + [0] * (plain.bonds.shape[1] - 1)
            if plain.bonds[bond, 0] < 4:
                asked[frozenset((source, target))] = plain.bonds[bond, 0]
    assert batch["masked.bonds"].tolist() == wanted.tolist()
    ends = [frozenset(pair) for pair in batch["masked.predicted-bonds"].T.tolist()]
    assert len(set(ends)) == len(ends) > 8
    assert dict(zip(ends, batch["masked.bond-targets"].tolist(), strict=True)) == asked
    dative = frozenset(np.flatnonzero(plain.molecule == DATIVE).tolist())
    assert (dative in ends) == (features == "published")  # which counts it as single


def test_every_atom_is_as_likely_to_be_hidden() -> None:
    batch = made_batch([chain(5)] * 3000)
    counts = Counter(place % 5 for place in batch["masked.predicted"].tolist())
    assert sum(counts.values()) == 3000
    assert all(abs(count - 600) < 4 * 22 for count in counts.values())  # sd 22


# --- contexts


def test_every_atom_is_as_likely_to_be_a_centre() -> None:
    """Of a chain of 5 with the ring (1, 3] all atoms can be centres."""
    batch = made_batch([chain(5)] * 3000)
    assert batch["context.skipped"] == 0
    counts = Counter(view(batch, "substructure").atoms[batch["substructure.centre"], 1].tolist())
    assert all(abs(counts[atom] - 600) < 4 * 22 for atom in range(5))


def test_substructure_and_context_are_of_the_same_molecules() -> None:
    batch = made_batch([chain(9), chain(1), chain(2), chain(8), Made(5, frozenset({(0, 1)})), chain(7)])
    substructure, context = view(batch, "substructure"), view(batch, "context")
    assert batch["context.skipped"] == 3
    assert substructure.count == context.count == len(batch["substructure.centre"]) == 3
    for graph in (substructure, context):
        assert set(zip(graph.molecule.tolist(), graph.atoms[:, 0].tolist(), strict=True)) == {(0, 0), (1, 3), (2, 5)}
    assert substructure.molecule[batch["substructure.centre"]].tolist() == [0, 1, 2]
    centres = substructure.atoms[batch["substructure.centre"], 1].tolist()
    for place in batch["context.overlap"].tolist():  # on a chain the distance is the difference
        assert abs(context.atoms[place, 1] - centres[context.molecule[place]]) == 2


# --- crops


def test_crops_keep_the_same_atoms_of_graph_and_conformer() -> None:
    made = [chain(20), Made(4, frozenset({(0, 1), (2, 3)})), chain(7), chain(1)]
    batch = made_batch(made)
    crop = view(batch, "crop")
    assert batch["crop.sizes"].tolist() == [18, 4, 6, 1]
    assert torch.equal(batch["crop.positions"][:, :2], crop.atoms.float())  # (molecule, number of the atom)
    assert batch["crop.noise"].shape == (2, 4, SETTINGS.width)
    assert batch["crop.positions"].dtype == batch["crop.noise"].dtype == torch.float32


def test_molecules_without_conformers_are_left_out_of_crops_alone() -> None:
    made, rows = [chain(20), chain(9), chain(8), chain(14)], torch.arange(4)
    some = MadeConformers(made, np.array([1, 0, 0, 2]))
    batch = unlabelled_batch(MadeGraphs(made), some, rows, SETTINGS, generator(0, "draws"))  # type: ignore[arg-type]
    full = made_batch(made, conformers=2)
    assert batch["crop.sizes"].tolist() == [18, 12]
    kept = torch.isin(full["crop.molecule"], torch.tensor([0, 3]))
    assert torch.equal(batch["crop.atoms"], full["crop.atoms"][kept])  # no draw depends on the others
    assert torch.equal(batch["crop.noise"], full["crop.noise"][:, [0, 3]])
    assert torch.equal(batch["masked.atoms"], full["masked.atoms"])


@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 2, 0]])
def test_fewer_than_two_conformers_give_an_empty_crop(counts: list[int]) -> None:
    made = [chain(9)] * 3
    few = MadeConformers(made, np.array(counts))
    batch = unlabelled_batch(MadeGraphs(made), few, torch.arange(3), SETTINGS, generator(0, "d"))  # type: ignore[arg-type]
    assert view(batch, "crop").count == len(batch["crop.positions"]) == len(batch["crop.sizes"]) == 0
    assert batch["crop.noise"].shape == (2, 0, SETTINGS.width)


def test_each_conformer_is_as_likely() -> None:
    batch = made_batch([chain(3)] * 3000, conformers=3)
    chosen = batch["crop.positions"][:, 2].reshape(3000, 3)
    assert (chosen == chosen[:, :1]).all()  # one for all atoms of a molecule
    counts = Counter(chosen[:, 0].tolist())
    assert all(abs(counts[conformer] - 1000) < 4 * 26 for conformer in range(3))


# --- batches as a whole


def test_a_batch_is_a_function_of_its_draws(graphs: Graphs) -> None:
    one, same, other = (real_batch(graphs, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    differing = {
        name for name in one if one[name].shape != other[name].shape or not torch.equal(one[name], other[name])
    }
    assert {"masked.predicted", "crop.positions", "crop.noise", "substructure.centre"} <= differing


def test_a_whole_batch_holds_the_whole_molecules(graphs: Graphs) -> None:
    rows = torch.tensor([4, 1, 2])
    batch, plain = whole_batch(graphs, rows, SETTINGS), graphs.batch(rows.numpy(), "published")
    whole = view(batch, "whole")
    for part in ("atoms", "bonds", "ends", "molecule", "count"):
        assert np.array_equal(getattr(whole, part), getattr(plain, part))
    assert batch["whole.sizes"].tolist() == [5, 1, 5]


# --- the losses of a batch


class Losses(nn.Module):
    """The losses of a batch with fresh modules, as a problem computes them."""

    def __init__(self, settings: GraphSettings) -> None:
        super().__init__()
        draws, width = generator(0, "modules"), settings.width
        self.encoder, context = (build_gin(settings.features, layers, width, 0.0, draws) for layers in (2, 3))
        self.attributes = objectives.AttributeHead(width, True, draws)
        self.context = objectives.ContextEncoder(context)
        self.schnet, self.generative = build_schnet(6, 4, 1, 4, 30.0, width, draws), GenerativeHead(width, draws)

    def states(self, graph: View) -> Tensor:
        states: Tensor = self.encoder(graph.atoms, graph.bonds, graph.ends)
        return states

    def forward(self, batch: Batch) -> Tensor:
        masked, substructure, context, crop = (view(batch, n) for n in ("masked", "substructure", "context", "crop"))
        states = self.states(masked)
        atoms, bonds = (batch["masked.predicted"], batch["masked.targets"]), batch["masked.predicted-bonds"]
        centres = self.states(substructure)[batch["substructure.centre"]]
        vectors = self.context(
            context.atoms, context.bonds, context.ends, context.molecule, batch["context.overlap"], context.count
        )
        x = self.encoder.pool(self.states(crop), crop.molecule, crop.count)
        y = self.schnet(crop.atoms[:, 0], batch["crop.positions"], crop.molecule, crop.count)
        return torch.stack(
            [
                objectives.attribute_masking(self.attributes, states, *atoms),
                objectives.bond_masking(self.attributes, states, bonds, batch["masked.bond-targets"]),
                objectives.context_prediction(centres, vectors),
                objectives.ebm_nce(x, y, 0.2),
                objectives.info_nce(x, y, 0.2),
                objectives.generative(self.generative, x, y, batch["crop.noise"], 2.0),
            ]
        )


def doubled(batch: Batch) -> dict[str, Tensor]:
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in batch.items()}


@pytest.mark.parametrize("features", ["published", "ogb"])
def test_forward_mode_equals_reverse_mode_through_encoder_and_heads(graphs: Graphs, features: str) -> None:
    settings = SETTINGS.model_copy(update={"features": features, "mask_bonds": True})
    batch, modules = doubled(real_batch(graphs, settings)), Losses(settings).double()
    batch["crop.positions"] = batch["crop.positions"] * torch.tensor([0.0, 1.0, 0.0])  # all chains on one axis
    parameters = dict(modules.named_parameters())
    along = {
        name: torch.randn(p.shape, generator=generator(0, "along", name), dtype=p.dtype)
        for name, p in parameters.items()
    }
    losses = modules(batch)
    expected = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, materialize_grads=True)
        expected.append(sum((one * other).sum() for one, other in zip(gradients, along.values(), strict=True)))
    with torch.no_grad(), forward_ad.dual_level():
        point = {name: forward_ad.make_dual(p.detach(), along[name]) for name, p in parameters.items()}
        values, slopes = forward_ad.unpack_dual(torch.func.functional_call(modules, point, (batch,)))
    torch.testing.assert_close(values, losses)
    torch.testing.assert_close(slopes, torch.stack(expected), rtol=1e-9, atol=1e-9)  # type: ignore[arg-type]
    assert (slopes.abs() > 1e-6).all()


def test_a_batch_without_contexts_and_conformers_gives_losses_of_zero() -> None:
    made = [chain(1), chain(2), Made(3, frozenset({(0, 1)}))]
    none = MadeConformers(made, np.zeros(3, dtype=np.int64))
    settings = SETTINGS.model_copy(update={"mask_bonds": True})
    batch = unlabelled_batch(MadeGraphs(made), none, torch.arange(3), settings, generator(0, "d"))  # type: ignore[arg-type]
    assert batch["context.skipped"] == 3
    modules = Losses(settings)
    losses = modules(batch)
    assert losses[0] > 0
    assert losses[2:].tolist() == [0, 0, 0, 0]
    gradients = torch.autograd.grad(losses[2:].sum(), list(modules.parameters()), allow_unused=True)
    assert all(not gradient.any() for gradient in gradients if gradient is not None)  # NaN would count
    assert all(buffer.isfinite().all() for buffer in modules.buffers())


def test_one_context_has_no_negative_and_is_left_out() -> None:
    batch = made_batch([chain(9), chain(2)])
    assert view(batch, "context").count == view(batch, "substructure").count == len(batch["context.overlap"]) == 0
    assert batch["context.skipped"] == 1
