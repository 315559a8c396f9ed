"""SchNet (Schuett et al. 2017, arXiv 1706.08566) as GraphMVP's encoder of conformers (arXiv 2110.07728).

Letters: b molecules, v atoms of all of them, p ordered pairs of near atoms, d width of the features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn.models.schnet import GaussianSmearing, InteractionBlock, ShiftedSoftplus

from tasks.graph.gin import mean_by_molecule

ELEMENTS = 119  # rows of the embedding: atomic number less one, and OGB's "other"


class SchNet(nn.Module):
    """Atoms with positions to features of molecules (b, d): interactions, two linear layers, mean over the atoms.

    The blocks are those of torch-geometric. Its whole network reads one number out and needs torch-cluster
    for the pairs, hence this one.
    """

    def __init__(
        self, width: int, filters: int, interactions: int, gaussians: int, cutoff: float, features: int
    ) -> None:
        super().__init__()
        self.cutoff, self.features = cutoff, features
        self.embedding = nn.Embedding(ELEMENTS, width)
        self.distance_expansion = GaussianSmearing(0.0, cutoff, gaussians)
        self.interactions = nn.ModuleList(
            InteractionBlock(width, gaussians, filters, cutoff) for _ in range(interactions)
        )
        for block in self.interactions:
            del block.mlp  # also its convolution's: under two names torch.func.functional_call would not put it back
        self.lin1, self.act, self.lin2 = nn.Linear(width, width), ShiftedSoftplus(), nn.Linear(width, features)

    def forward(self, numbers: Tensor, positions: Tensor, molecule: Tensor, count: int) -> Tensor:
        """Return the features of ``count`` molecules, shape (b, d).

        Parameters
        ----------
        numbers: (v,), atomic number less one, the first column of a graph's atoms. positions: (v, 3), angstrom.
        molecule: (v,), which molecule an atom belongs to; the atoms of one lie together, molecules in order.
        """
        ends = pairs(positions, molecule, count, self.cutoff)
        distances = (positions[ends[0]] - positions[ends[1]]).norm(dim=1)
        expanded = self.distance_expansion(distances)
        states = self.embedding(numbers.long())
        for interaction in self.interactions:
            states = states + interaction(states, ends, distances, expanded)
        return mean_by_molecule(self.lin2(self.act(self.lin1(states))), molecule, count)


def pairs(positions: Tensor, molecule: Tensor, count: int, cutoff: float) -> Tensor:
    """Return the ordered pairs of different atoms of one molecule less than ``cutoff`` apart, shape (2, p).

    Every atom meets all others of its molecule first, so the cost is the sum of the squares of their sizes.
    """
    molecule = molecule.long()
    sizes = torch.bincount(molecule, minlength=count)
    partners = sizes[molecule]  # (v,), each atom's own molecule, itself included
    source = torch.repeat_interleave(partners)
    first_pair, first_atom = partners.cumsum(0) - partners, sizes.cumsum(0) - sizes
    target = first_atom[molecule[source]] + torch.arange(len(source), device=source.device) - first_pair[source]
    near = (positions[source] - positions[target]).norm(dim=1) < cutoff
    return torch.stack([source, target])[:, near & (source != target)]


def build_schnet(
    width: int,
    filters: int,
    interactions: int,
    gaussians: int,
    cutoff: float,
    features: int,
    generator: torch.Generator,
) -> SchNet:
    """Return a network initialised as published: embedding N(0, 1), weights Xavier-uniform, biases 0.

    All draws come from ``generator``; the global generator is left as it was.

    Parameters
    ----------
    features: d, the width of the graph encoder's features, that these are compared with.
    """
    with torch.random.fork_rng(devices=[]):  # the library's modules draw when they are made
        network = SchNet(width, filters, interactions, gaussians, cutoff, features)
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network
