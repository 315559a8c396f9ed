"""Shapes of molecules on disk: RDKit's ETKDGv3 (Riniker and Landrum 2015; Wang et al. 2020), computed once.

Letters: N molecules of a list, b of a batch, v atoms, c conformers of a molecule.

Hydrogens take part in the embedding and are then left out: the atoms are those of the graph, in its order. RDKit lays
the fragments of a molecule over each other; here they stand in a row, so far apart that no cut-off reaches from one
to the next. A molecule that gets no conformer is kept with the reason, and not tried again.

For one seed and one version of RDKit a molecule's conformers are always the same, in whatever company, on whatever
machine and however many workers: what bounds the work counts attempts, not seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import RequestError
from bench.files import home
from tasks.graph import packs
from tasks.graph.features import read_molecule
from tasks.parallel import spread

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FORMAT = 1  # raised when the files of the same molecules come to mean something else
PACK = 2048  # molecules; what a crash can lose
CHUNK = 8  # molecules that a worker embeds before it reports
MOST_ATOMS = 150  # of the graph; beyond, a single attempt takes seconds. The largest drug of GEOM has 91.
MOST_ATTEMPTS = 200  # at a conformer: of 6,000 drug-like molecules 10 fail, with 20 attempts 80
GAP = 100.0  # angstrom, between fragments
EMBEDDED, TOO_LARGE, IMPOSSIBLE = range(3)
REASONS = {TOO_LARGE: "too large", IMPOSSIBLE: "no embedding"}


@dataclass(frozen=True)
class Shape:
    """One molecule: positions in angstrom (c, v, 3), c at most what was asked for, and the reason if c is 0."""

    positions: NDArray[np.float32]
    reason: int = EMBEDDED


def embed(smiles: str, conformers: int, seed: int) -> Shape:
    """Return up to ``conformers`` shapes of a molecule.

    Raises
    ------
    RequestError: naming the SMILES string, if RDKit cannot read it.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDistGeom

    molecule = read_molecule(smiles)
    if molecule is None:
        raise RequestError(f"smiles: expected a molecule that RDKit can read, got {smiles!r}")
    atoms = molecule.GetNumAtoms()
    nothing = np.empty((0, atoms, 3), dtype=np.float32)
    if atoms > MOST_ATOMS:
        return Shape(nothing, TOO_LARGE)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed + 1  # RDKit draws the same for 0 and 1
    parameters.numThreads = 1
    parameters.maxIterations = MOST_ATTEMPTS
    with rdBase.BlockLogs():
        whole = Chem.AddHs(molecule)  # appends the hydrogens
        try:
            rdDistGeom.EmbedMultipleConfs(whole, conformers, parameters)
        except (RuntimeError, ValueError):  # its own checks; seen with unusual valences
            return Shape(nothing, IMPOSSIBLE)
    found = np.array([one.GetPositions()[:atoms] for one in whole.GetConformers()]).reshape(-1, atoms, 3)
    if not len(found) or not np.isfinite(found).all():
        return Shape(nothing, IMPOSSIBLE)
    return Shape(_in_a_row(found, molecule).astype(np.float32))


@dataclass(frozen=True)
class ConformerCache:
    """Up to ``conformers`` conformers of each molecule, drawn from ``seed``."""

    conformers: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where the packs lie; shapes depend on the version of RDKit, so the folder does too."""
        return home() / "conformers" / f"{FORMAT}-{self.conformers}-seed-{self.seed}-rdkit-{version('rdkit')}"

    def ensure(self, smiles: Sequence[str], workers: int, say: Callable[[str], None]) -> None:
        """Embed what is missing. SMILES strings are the keys as they stand, so give them in canonical form.

        Raises
        ------
        RequestError: naming a molecule that cannot be read.
        """
        failed = Counter[str]()

        def compute(part: list[str]) -> packs.Arrays:
            chunks = [part[start : start + CHUNK] for start in range(0, len(part), CHUNK)]
            work = partial(_embed_chunk, conformers=self.conformers, seed=self.seed)
            return _joined(list(chain.from_iterable(spread(work, chunks, workers))))

        def report(done: int, missing: int, arrays: packs.Arrays) -> None:
            failed.update(_failures(arrays["reason"]))
            why = "".join(f", {count:,} {reason}" for reason, count in sorted(failed.items()))
            say(f"conformers: {done:,} of {missing:,} missing molecules embedded{why}")

        packs.ensure(self.folder, smiles, PACK, compute, report)

    def load(self, smiles: Sequence[str]) -> Conformers:
        """Return a handle on the conformers of ``smiles``, in their order.

        Raises
        ------
        NotPreparedError: if any is missing, or lies in a pack that is damaged.
        """
        return Conformers(packs.load(self.folder, smiles, "conformer"))


class Conformers:
    """The conformers of a list of molecules, read from disk when asked for.

    ``counts`` (N,) says how many a molecule has, 0 where it failed; ``failures`` how many failed for which reason.
    """

    def __init__(self, places: packs.Places) -> None:
        self._places = places
        self._starts, rows = places.spans("row_ends")
        self._atoms = places.each("atoms").astype(np.int64)
        self.counts: NDArray[np.int64] = rows // self._atoms
        self.failures = _failures(places.each("reason"))

    def __len__(self) -> int:
        return len(self.counts)

    def positions(self, rows: ArrayLike, choice: ArrayLike) -> NDArray[np.float32]:
        """Return positions in angstrom (v, 3) of the molecules at ``rows`` (b,), atoms as in their graphs.

        Parameters
        ----------
        choice: (b,) which conformer of each, taken modulo the number that it has.

        Raises
        ------
        ValueError: if one of them has none.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        counts, atoms = self.counts[wanted], self._atoms[wanted]
        if not counts.all():
            raise ValueError(f"rows: expected molecules that have conformers, got row {wanted[counts == 0][0]}")
        starts = self._starts[wanted] + np.asarray(choice, dtype=np.int64) % counts * atoms
        owner, at, _ = packs.rows_of(starts, atoms)
        found: NDArray[np.float32] = self._places.take("positions", self._places.pack_of[wanted][owner], at)
        return found


def _in_a_row(positions: NDArray[np.float64], molecule: Mol) -> NDArray[np.float64]:
    """Move the fragments of positions (c, v, 3) along the first axis until they stand apart by the gap."""
    from rdkit import Chem

    fragments = Chem.GetMolFrags(molecule)
    edge = np.zeros(len(positions))
    for fragment in map(list, fragments if len(fragments) > 1 else ()):
        along = positions[:, fragment, 0]
        positions[:, fragment, 0] = along - along.min(axis=1, keepdims=True) + edge[:, None]
        edge = positions[:, fragment, 0].max(axis=1) + GAP
    return positions


def _embed_chunk(smiles: list[str], conformers: int, seed: int) -> list[Shape]:
    return [embed(one, conformers, seed) for one in smiles]


def _joined(shapes: list[Shape]) -> packs.Arrays:
    return {
        "positions": np.concatenate([shape.positions.reshape(-1, 3) for shape in shapes]),
        "row_ends": np.cumsum([shape.positions[..., 0].size for shape in shapes], dtype=np.int64),
        "atoms": np.array([shape.positions.shape[1] for shape in shapes], dtype=np.int32),
        "reason": np.array([shape.reason for shape in shapes], dtype=np.uint8),
    }


def _failures(reasons: NDArray[np.uint8]) -> dict[str, int]:
    counts = {reason: int((reasons == code).sum()) for code, reason in REASONS.items()}
    return {reason: count for reason, count in counts.items() if count}
