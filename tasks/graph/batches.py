"""From molecules to what the encoder and the losses read. All random numbers of a batch are drawn when it is made.

A batch is flat: the graph of the view VIEW is ``VIEW.atoms`` (v, f), ``VIEW.bonds`` (e, g), ``VIEW.ends`` (2, e),
``VIEW.molecule`` (v,) and ``VIEW.sizes`` (b,), the atoms of each molecule.

Letters: b molecules of a view, v atoms of all of them, e directed bonds, f and g features, m hidden atoms,
p hidden bonds, d width of the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.graph.cache import Graphs, Packed
from tasks.graph.conformers import Conformers
from tasks.graph.gin import MASKED_ATOM, MASKED_BOND
from tasks.graph.objectives import BOND_TYPES
from tasks.graph.subgraphs import Floats, Mask, connected_crop, contexts, foremost, induced, sizes
from tasks.problem import Batch
from tasks.settings import GraphSettings

FEWEST = 2  # molecules that an objective compares, see tasks.graph.objectives


@dataclass(frozen=True)
class View:
    """One graph of a batch; ``count`` is its b."""

    atoms: Tensor
    bonds: Tensor
    ends: Tensor
    molecule: Tensor
    count: int


def view(batch: Batch, name: str) -> View:
    """Return the graph of the view ``name``."""
    atoms, bonds, ends, molecule = (batch[f"{name}.{part}"] for part in ("atoms", "bonds", "ends", "molecule"))
    return View(atoms, bonds, ends, molecule, len(batch[f"{name}.sizes"]))


def whole_batch(graphs: Graphs, rows: Tensor, settings: GraphSettings) -> Batch:
    """Return the view ``whole`` of the molecules at ``rows`` (b,)."""
    return _tensors("whole", graphs.batch(rows.numpy(), settings.features))


def unlabelled_batch(
    graphs: Graphs, conformers: Conformers, rows: Tensor, settings: GraphSettings, draws: torch.Generator
) -> Batch:
    """Return the views of the molecules at ``rows`` that the objectives read.

    Parameters
    ----------
    conformers: of the same list of molecules as ``graphs``; those that have none are left out of ``crop``.

    Returns
    -------
    The view ``masked``, with ``masked.predicted`` (m,), places of the hidden atoms, and ``masked.targets`` (m,),
    their types; if bonds are hidden too, ``masked.predicted-bonds`` (2, p), their ends, and
    ``masked.bond-targets`` (p,).

    The views ``substructure`` and ``context``, of the same molecules, with ``substructure.centre`` (b,), places
    of the centres, ``context.overlap``, places of the atoms that both have, and ``context.skipped``, the number
    of molecules without context.

    The view ``crop`` with ``crop.positions`` (v, 3) in angstrom and ``crop.noise`` (2, b, d) of the generative loss.

    Where fewer than two molecules have a context, or a conformer, these views are empty, as one molecule by
    itself is compared with nothing.

    Raises
    ------
    RequestError: if the settings leave no molecule a context.
    """
    packed = graphs.batch(rows.numpy(), settings.features)
    return {
        **_masked(packed, settings, draws),
        **_contexts(packed, settings, draws),
        **_cropped(packed, conformers, rows.numpy(), settings, draws),
    }


def _masked(packed: Packed, settings: GraphSettings, draws: torch.Generator) -> Batch:
    """Hide int(share n + 1) atoms of a molecule of n, and all bonds that touch one of them where bonds are hidden."""
    size = sizes(packed)
    number = np.minimum(np.floor(settings.mask_share * size + 1), size)
    hidden = foremost(packed, number, _uniform(len(packed.molecule), draws))
    atoms, bonds = packed.atoms.copy(), packed.bonds.copy()
    atoms[hidden] = 0
    atoms[hidden, 0] = MASKED_ATOM
    predicted = {"masked.predicted": np.flatnonzero(hidden), "masked.targets": packed.atoms[hidden, 0]}
    if settings.mask_bonds:
        source, target = packed.ends
        touched, kinds = hidden[source] | hidden[target], packed.bonds[:, 0]
        bonds[touched] = 0
        bonds[touched, 0] = MASKED_BOND
        told = touched & (source < target) & (kinds < BOND_TYPES)  # OGB's "other" is hidden, but not asked for
        predicted |= {"masked.predicted-bonds": packed.ends[:, told], "masked.bond-targets": kinds[told]}
    masked = Packed(atoms, bonds, packed.ends, packed.molecule, packed.count)
    return {**_tensors("masked", masked), **{name: torch.from_numpy(array) for name, array in predicted.items()}}


def _contexts(packed: Packed, settings: GraphSettings, draws: torch.Generator) -> Batch:
    size = sizes(packed)
    centres = np.cumsum(size) - size + np.floor(_uniform(packed.count, draws) * size).astype(np.int64)
    found = contexts(packed, centres, settings.radius, settings.context)
    substructure, context, centre, overlap = found.substructure, found.context, found.centre, found.overlap
    if len(centre) < FEWEST:
        substructure, context = _empty(packed), _empty(packed)
        centre = overlap = centre[:0]
    return {
        **_tensors("substructure", substructure),
        **_tensors("context", context),
        "substructure.centre": torch.from_numpy(centre),
        "context.overlap": torch.from_numpy(overlap),
        "context.skipped": torch.tensor(found.skipped),
    }


def _cropped(
    packed: Packed, conformers: Conformers, rows: NDArray[np.int64], settings: GraphSettings, draws: torch.Generator
) -> Batch:
    """Crop the molecules that have conformers. Of each molecule the draws do not depend on which others have any."""
    atoms, width = len(packed.molecule), settings.width
    waits = torch.empty(atoms, dtype=torch.float64).exponential_(generator=draws).numpy()
    keep = connected_crop(packed, _uniform(atoms, draws), waits, settings.crop)
    share, noise = _uniform(packed.count, draws), torch.randn((2, packed.count, width), generator=draws)
    counts = conformers.counts[rows]
    shaped: Mask = counts > 0
    if shaped.sum() < FEWEST:
        shaped = np.zeros_like(shaped)
        positions = np.empty((0, 3), dtype=np.float32)
    else:
        choice = np.floor(share * counts).astype(np.int64)
        positions = conformers.positions(rows[shaped], choice[shaped])
    present = shaped[packed.molecule]
    return {
        **_tensors("crop", induced(packed, keep & present)),
        "crop.positions": torch.from_numpy(positions[keep[present]]),
        "crop.noise": noise[:, torch.from_numpy(shaped)],
    }


def _empty(packed: Packed) -> Packed:
    return induced(packed, np.zeros(len(packed.molecule), dtype=np.bool_))


def _uniform(number: int, draws: torch.Generator) -> Floats:
    drawn: Floats = torch.rand(number, dtype=torch.float64, generator=draws).numpy()
    return drawn


def _tensors(name: str, packed: Packed) -> Batch:
    arrays = {
        "atoms": packed.atoms,
        "bonds": packed.bonds,
        "ends": packed.ends,
        "molecule": packed.molecule,
        "sizes": sizes(packed),
    }
    return {f"{name}.{part}": torch.from_numpy(array) for part, array in arrays.items()}
