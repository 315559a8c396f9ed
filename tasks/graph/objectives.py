"""Heads and losses of the objectives on molecule graphs.

Attribute masking and context prediction are those of Hu et al. 2020 (arXiv 1905.12265), the contrastive and
the generative objective those of GraphMVP (Liu et al. 2022, arXiv 2110.07728).

Letters: b molecules, v atoms, m hidden atoms, p hidden bonds, k molecules that have a context, d width.

A loss that compares molecules needs two: with fewer, a molecule would be its own negative, and batch norm
has no spread. It is 0 then, with gradient 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.graph.gin import Gin
from tasks.heads import linear

ATOM_TYPES = 119
BOND_TYPES = 4  # single, double, triple, aromatic


class AttributeHead(nn.Module):
    """States (., d) to logits of the types of hidden atoms and, where these are hidden too, of bonds."""

    def __init__(self, width: int, bonds: bool, draws: torch.Generator) -> None:
        super().__init__()
        self.atoms = linear(width, ATOM_TYPES, draws)
        self.bonds = linear(width, BOND_TYPES, draws) if bonds else None


class ContextEncoder(nn.Module):
    """Embed contexts, (k, d), by a second graph network: the mean of the states of the atoms of the overlap."""

    def __init__(self, network: Gin) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, atoms: Tensor, bonds: Tensor, ends: Tensor, molecule: Tensor, overlap: Tensor, count: int
    ) -> Tensor:
        states = self.network(atoms, bonds, ends)
        return self.network.pool(states[overlap], molecule[overlap], count)


class VariationalHead(nn.Module):
    """Reconstruct the features of one view (b, d) from those of the other through a Gaussian latent (b, d).

    Called with features and noise N(0, 1), both (b, d); returns the reconstruction, and mean and logarithm
    of the variance of the latent, (b, d) each.
    """

    def __init__(self, width: int, draws: torch.Generator) -> None:
        super().__init__()
        self.mean, self.log_variance = linear(width, width, draws), linear(width, width, draws)
        self.decoder = nn.Sequential(
            linear(width, width, draws), nn.BatchNorm1d(width), nn.ReLU(), linear(width, width, draws)
        )

    def forward(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.mean(features), self.log_variance(features)
        return self.decoder(mean + noise * (log_variance / 2).exp()), mean, log_variance


class GenerativeHead(nn.Module):
    """The two directions of the generative loss: from the features of the graph to the conformer's, and back."""

    def __init__(self, width: int, draws: torch.Generator) -> None:
        super().__init__()
        self.from_graph, self.from_conformer = VariationalHead(width, draws), VariationalHead(width, draws)


def attribute_masking(head: AttributeHead, states: Tensor, predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the types of the m hidden atoms, 0 if there are none.

    Parameters
    ----------
    states: (v, d). predicted: (m,), places among the atoms. targets: (m,).
    """
    return _mean_cross_entropy(head.atoms(states[predicted]), targets)


def bond_masking(head: AttributeHead, states: Tensor, ends: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the types of the p hidden bonds, read off the sum of their ends; or 0.

    Parameters
    ----------
    states: (v, d). ends: (2, p), each bond once. targets: (p,).
    """
    assert head.bonds is not None
    return _mean_cross_entropy(head.bonds(states[ends[0]] + states[ends[1]]), targets)


def context_prediction(centres: Tensor, contexts: Tensor) -> Tensor:
    """Return -log sigmoid of c_a . x_a, and of minus c_a . x_(a+1), summed, mean over a.

    Parameters
    ----------
    centres, contexts: (k, d), c and x. The negative context is the next molecule's, the last one's the first.
    """
    return _nothing(centres, contexts) if len(centres) < 2 else _noise_contrastive(centres, contexts)


def ebm_nce(graphs: Tensor, conformers: Tensor, temperature: float) -> Tensor:
    """Return GraphMVP's contrastive loss, EBM-NCE: the mean of both directions.

    Each is as :func:`context_prediction` on directions, products divided by ``temperature``.

    Parameters
    ----------
    graphs, conformers: (b, d).
    """
    if len(graphs) < 2:
        return _nothing(graphs, conformers)
    x, y = functional.normalize(graphs, dim=1), functional.normalize(conformers, dim=1)
    return (_noise_contrastive(x / temperature, y) + _noise_contrastive(y / temperature, x)) / 2


def info_nce(graphs: Tensor, conformers: Tensor, temperature: float) -> Tensor:
    """Return the alternative, InfoNCE: every other molecule of the batch is a negative."""
    if len(graphs) < 2:
        return _nothing(graphs, conformers)
    products = functional.normalize(graphs, dim=1) @ functional.normalize(conformers, dim=1).T / temperature
    own = torch.arange(len(products), device=products.device)
    return (functional.cross_entropy(products, own) + functional.cross_entropy(products.T, own)) / 2


def generative(head: GenerativeHead, graphs: Tensor, conformers: Tensor, noise: Tensor, beta: float) -> Tensor:
    """Return GraphMVP's generative loss, VRR: the mean of both directions.

    Of each: the squared error of the reconstruction, mean over b and d, plus ``beta`` times KL(q || N(0, 1)),
    summed over d, mean over b. Targets get no gradient.

    Parameters
    ----------
    graphs, conformers: (b, d). noise: (2, b, d), of the two directions.
    """
    if len(graphs) < 2:
        return _nothing(graphs, conformers)
    return (
        _variational(head.from_graph, graphs, conformers, noise[0], beta)
        + _variational(head.from_conformer, conformers, graphs, noise[1], beta)
    ) / 2


def _variational(head: VariationalHead, source: Tensor, target: Tensor, noise: Tensor, beta: float) -> Tensor:
    reconstruction, mean, log_variance = head(source, noise)
    divergence: Tensor = (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean() / 2
    return functional.mse_loss(reconstruction, target.detach()) + beta * divergence


def _noise_contrastive(one: Tensor, other: Tensor) -> Tensor:
    positive = (one * other).sum(dim=1)
    negative = (one * other.roll(-1, 0)).sum(dim=1)
    return -(functional.logsigmoid(positive) + functional.logsigmoid(-negative)).mean()


def _mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits, targets, reduction="sum") / max(len(targets), 1)


def _nothing(one: Tensor, other: Tensor) -> Tensor:
    return 0 * (one.sum() + other.sum())
