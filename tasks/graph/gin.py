"""The graph isomorphism network with bonds, in the published form and with OGB's features.

Both embed the atoms, then repeat: a layer that sums messages over bonds, batch norm, ReLU (but after the
last), dropout. "published" is the GIN of Hu et al. 2020 (arXiv 1905.12265, appendix A), whose parameter
names it has, so that its weights load. "ogb" is the one that GraphMVP (Liu et al. 2022, arXiv 2110.07728)
uses for regression.

Letters: b molecules, v atoms of all of them, e directed bonds (each bond twice), d width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from tasks.graph.features import Features

# Rows of the embedding tables, one for each column of the features. The first columns are the atom's number
# less one and the kind of bond; their tables end with a row for what is masked, in both forms the same.
PUBLISHED_ATOMS = (120, 3)  # 119: masked; chirality
PUBLISHED_BONDS = (6, 3)  # 4: an atom's bond to itself, 5: masked; direction
OGB_ATOMS = (120, 5, 12, 12, 10, 6, 6, 2, 2)
OGB_BONDS = (6, 6, 2)
MASKED_ATOM = 119  # first column of a masked atom; its other columns are 0
MASKED_BOND = 5
SELF_BOND = 4


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that a single row passes: it has no variance, so in training too it gets the running statistics.

    They stay as they are then. An empty batch passes likewise.
    """

    def forward(self, input: Tensor) -> Tensor:  # the name of torch
        if self.training and len(input) < 2:
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


class Gin(nn.Module, ABC):
    """Atoms and bonds to the states of the last layer; :meth:`pool` makes them features of molecules.

    ``dropout`` is an attribute that may be set: pretraining has none.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.features, self.dropout = width, dropout
        self.gnns, self.batch_norms = nn.ModuleList(), nn.ModuleList()

    @abstractmethod
    def embed(self, atoms: Tensor) -> Tensor:
        """Return the states before the first layer, shape (v, d)."""

    def forward(self, atoms: Tensor, bonds: Tensor, ends: Tensor) -> Tensor:
        """Return the states of the atoms, shape (v, d).

        Parameters
        ----------
        atoms: (v, f) integers of any kind. bonds: (e, g), in the order of ``ends``.
        ends: (2, e), where each directed bond starts and where it ends.
        """
        bonds, ends = bonds.long(), ends.long()
        states = self.embed(atoms.long())
        for depth, (layer, norm) in enumerate(zip(self.gnns, self.batch_norms, strict=True), start=1):
            states = norm(layer(states, bonds, ends))
            if depth < len(self.gnns):
                states = torch.relu(states)
            states = nn.functional.dropout(states, self.dropout, self.training)
        return states

    def cut(self, count: int, atoms: Tensor, bonds: Tensor, ends: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield what :meth:`forward` reads in up to ``count`` parts of about as many atoms, between molecules."""
        low, high = ends.long().aminmax(dim=0)
        steps = torch.zeros(len(atoms) + 2, dtype=torch.long, device=ends.device)
        steps.index_add_(0, low + 1, torch.ones_like(low)).index_add_(0, high + 1, -torch.ones_like(high))
        places = (steps[: len(atoms) + 1].cumsum(0) == 0).nonzero()[:, 0]  # before which atoms no bond is cut
        wanted = torch.linspace(0, len(atoms), count + 1, device=ends.device)
        chosen = places[torch.searchsorted(places, wanted)].unique().tolist()
        for first, last in pairwise(chosen):
            inside = (low >= first) & (low < last)
            yield atoms[first:last], bonds[inside], ends[:, inside] - first

    def pool(self, states: Tensor, molecule: Tensor, count: int) -> Tensor:
        """Return the mean over the atoms of each molecule, see :func:`mean_by_molecule`."""
        return mean_by_molecule(states, molecule, count)


class PublishedGin(Gin):
    """Atoms (v, 2): number less one, chirality. Bonds (e, 2): kind, direction."""

    def __init__(self, layers: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.x_embedding1, self.x_embedding2 = (nn.Embedding(rows, width) for rows in PUBLISHED_ATOMS)
        for _ in range(layers):
            self.gnns.append(PublishedLayer(width))
            self.batch_norms.append(BatchNorm(width))

    def embed(self, atoms: Tensor) -> Tensor:
        states: Tensor = self.x_embedding1(atoms[:, 0]) + self.x_embedding2(atoms[:, 1])
        return states


class PublishedLayer(nn.Module):
    """MLP(sum of neighbour state + bond over the bonds of an atom, and over one to itself)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.edge_embedding1, self.edge_embedding2 = (nn.Embedding(rows, width) for rows in PUBLISHED_BONDS)

    def forward(self, states: Tensor, bonds: Tensor, ends: Tensor) -> Tensor:
        source, target = ends
        messages = states[source] + self.edge_embedding1(bonds[:, 0]) + self.edge_embedding2(bonds[:, 1])
        own = states + self.edge_embedding1.weight[SELF_BOND] + self.edge_embedding2.weight[0]
        summed: Tensor = self.mlp(own.index_add(0, target, messages))
        return summed


class OgbGin(Gin):
    """Atoms (v, 9) and bonds (e, 3) with the features of the Open Graph Benchmark (Hu et al. 2020)."""

    def __init__(self, layers: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.atom_encoder = SummedEmbedding(OGB_ATOMS, width)
        for _ in range(layers):
            self.gnns.append(OgbLayer(width))
            self.batch_norms.append(BatchNorm(width))

    def embed(self, atoms: Tensor) -> Tensor:
        states: Tensor = self.atom_encoder(atoms)
        return states


class SummedEmbedding(nn.Module):
    """The sum of one embedding for each column, as OGB's encoders; with a row more in the first table, to mask."""

    def __init__(self, rows: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count, width) for count in rows)

    def forward(self, columns: Tensor) -> Tensor:
        return torch.stack([table(columns[:, index]) for index, table in enumerate(self.tables)]).sum(dim=0)


class OgbLayer(nn.Module):
    """MLP((1 + eps) state + sum of ReLU(neighbour state + bond)), eps learned, batch norm inside the MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        from torch_geometric.nn.conv import GINEConv  # takes seconds to import

        mlp = nn.Sequential(nn.Linear(width, 2 * width), BatchNorm(2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        self.bond_encoder = SummedEmbedding(OGB_BONDS, width)
        self.conv = GINEConv(mlp, train_eps=True)

    def forward(self, states: Tensor, bonds: Tensor, ends: Tensor) -> Tensor:
        summed: Tensor = self.conv(states, ends, self.bond_encoder(bonds))
        return summed


def mean_by_molecule(states: Tensor, molecule: Tensor, count: int) -> Tensor:
    """Return the mean of states (v, d) over each of ``count`` molecules, shape (b, d); 0 for one without atoms.

    Parameters
    ----------
    molecule: (v,), which molecule an atom belongs to, in any order.
    """
    molecule = molecule.long()
    sums = states.new_zeros(count, states.shape[1]).index_add(0, molecule, states)
    sizes = torch.bincount(molecule, minlength=count).clamp(min=1)
    return sums / sizes.to(states.dtype)[:, None]


def build_gin(features: Features, layers: int, width: int, dropout: float, generator: torch.Generator) -> Gin:
    """Return a network initialised as published: embeddings Xavier-uniform, the rest as PyTorch does.

    All draws come from ``generator``; the global generator is neither read nor moved.
    """
    with torch.device("meta"):
        network = (PublishedGin if features == "published" else OgbGin)(layers, width, dropout)
    network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm1d):
            module.reset_parameters()
        elif isinstance(module, OgbLayer):
            nn.init.zeros_(module.conv.eps)
    return network
