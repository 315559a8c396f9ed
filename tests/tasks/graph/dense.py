"""Random graphs, and the GIN written out with dense matrices from its state dict alone."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tasks.graph.gin import OGB_ATOMS, OGB_BONDS, PUBLISHED_ATOMS, PUBLISHED_BONDS, Gin, build_gin

Form = Literal["published", "ogb"]

FORMS: tuple[Form, ...] = ("published", "ogb")
ROWS = {"published": (PUBLISHED_ATOMS, PUBLISHED_BONDS), "ogb": (OGB_ATOMS, OGB_BONDS)}


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(form: Form = "published", layers: int = 3, width: int = 6, seed: int = 0, dropout: float = 0.0) -> Gin:
    """In float64, with running statistics, affine maps and eps other than at the start, so that each of them shows."""
    net = build_gin(form, layers, width, dropout, draws(seed)).double()
    own = draws(seed + 1)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if "norm" in name or "conv.nn.1" in name or name.endswith("eps"):
                tensor.copy_(torch.rand(tensor.shape, generator=own) + 0.5)
    return net


def graphs(form: Form, sizes: list[int], seed: int, density: float = 0.4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return atoms, bonds, ends and molecule of random simple graphs."""
    own, columns = draws(seed), ROWS[form]
    molecule = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    v = len(molecule)
    atoms = torch.stack([torch.randint(rows, (v,), generator=own) for rows in columns[0]], dim=1)
    together = molecule[:, None] == molecule[None]
    joined = together & (torch.rand((v, v), generator=own) < density)
    start, end = torch.triu(joined, diagonal=1).nonzero().T
    ends = torch.stack([torch.cat([start, end]), torch.cat([end, start])])
    # The two directions of a bond differ, so that mistaking one for the other shows.
    kinds = torch.stack([torch.randint(rows, (ends.shape[1],), generator=own) for rows in columns[1]], dim=1)
    shuffled = torch.randperm(ends.shape[1], generator=own)
    return atoms, kinds[shuffled], ends[:, shuffled], molecule


def normalised(x: Tensor, state: dict[str, Tensor], name: str, training: bool) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    if training:
        mean, var = x.mean(0), ((x - x.mean(0)) ** 2).mean(0)
    return (x - mean) / torch.sqrt(var + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]


def dense(net: Gin, form: Form, atoms: Tensor, bonds: Tensor, ends: Tensor, training: bool) -> Tensor:
    """The network with an adjacency matrix and a matrix of bonds, from the state dict alone."""
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    v, layers = len(atoms), len(net.gnns)
    tables = (
        ["x_embedding1", "x_embedding2"]
        if form == "published"
        else [f"atom_encoder.tables.{column}" for column in range(len(OGB_ATOMS))]
    )
    x = sum((state[f"{table}.weight"][atoms[:, column]] for column, table in enumerate(tables)), torch.zeros(()))
    for k in range(layers):
        layer = f"gnns.{k}"
        names = (
            [f"{layer}.edge_embedding1", f"{layer}.edge_embedding2"]
            if form == "published"
            else [f"{layer}.bond_encoder.tables.{column}" for column in range(len(OGB_BONDS))]
        )
        adjacency, bond = torch.zeros(v, v, dtype=x.dtype), torch.zeros(v, v, x.shape[1], dtype=x.dtype)
        for edge in range(ends.shape[1]):
            adjacency[ends[1, edge], ends[0, edge]] = 1
            bond[ends[1, edge], ends[0, edge]] = sum(
                state[f"{name}.weight"][bonds[edge, column]] for column, name in enumerate(names)
            )
        if form == "published":
            loop = state[f"{names[0]}.weight"][4] + state[f"{names[1]}.weight"][0]
            everything = adjacency + torch.eye(v, dtype=x.dtype)
            bond = bond + torch.eye(v, dtype=x.dtype)[:, :, None] * loop
            y = everything @ x + bond.sum(1)
            first, last = f"{layer}.mlp.0", f"{layer}.mlp.2"
        else:
            messages = torch.relu(x[None] + bond) * adjacency[:, :, None]
            y = (1 + state[f"{layer}.conv.eps"]) * x + messages.sum(1)
            first, last = f"{layer}.conv.nn.0", f"{layer}.conv.nn.3"
        y = y @ state[f"{first}.weight"].T + state[f"{first}.bias"]
        if form == "ogb":
            y = normalised(y, state, f"{layer}.conv.nn.1", training)
        y = torch.relu(y) @ state[f"{last}.weight"].T + state[f"{last}.bias"]
        y = normalised(y, state, f"batch_norms.{k}", training)
        x = torch.relu(y) if k + 1 < layers else y
    return x
