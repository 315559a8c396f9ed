"""Cluster labels of molecules: K-means on MACCS keys (ImageMol; TapWeight, arXiv 2410.10006, appendix B.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import RequestError
from tasks.parallel import spread

KEYS = 166  # RDKit's bit 0 is never set and left out
CHUNK = 512  # molecules a worker takes at a time
POOL_PER_CLUSTER = 100  # K is at most the pool over this, so that clusters are not single molecules
LARGEST_SPREAD_START = 1000  # above it k-means++ takes longer than all the rest
BATCH = (1024, 10_240)  # smallest and largest batch of MiniBatchKMeans
EPOCHS = 100  # at most; the fit stops by itself when it no longer improves
EPOCHS_LARGE = 5  # above LARGEST_SPREAD_START


def maccs_keys(smiles: Sequence[str], workers: int = 1) -> NDArray[np.uint8]:
    """Return the 166 MACCS keys of each molecule, shape (N, 166), 0 or 1.

    Raises
    ------
    RequestError: naming a SMILES string that RDKit cannot read.
    """
    chunks = [list(smiles[start : start + CHUNK]) for start in range(0, len(smiles), CHUNK)]
    return np.concatenate([np.empty((0, KEYS), dtype=np.uint8), *spread(_keys, chunks, workers)])


def _keys(smiles: list[str]) -> NDArray[np.uint8]:
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdMolDescriptors
    from rdkit.DataStructs import ConvertToNumpyArray

    keys = np.empty((len(smiles), KEYS), dtype=np.uint8)
    row = np.empty(KEYS + 1, dtype=np.uint8)
    with rdBase.BlockLogs():  # its warnings would go to the user's terminal
        for index, one in enumerate(smiles):
            molecule = Chem.MolFromSmiles(one)
            if molecule is None:
                raise RequestError(f"smiles: expected a molecule that RDKit can read, got {one!r}")
            ConvertToNumpyArray(rdMolDescriptors.GetMACCSKeysFingerprint(molecule), row)
            keys[index] = row[1:]
    return keys


def effective_clusters(wanted: tuple[int, int, int], pool: int) -> tuple[int, int, int]:
    """Return the three K, each limited to pool // 100.

    Raises
    ------
    RequestError: if the limit makes two of them equal.
    """
    limit = pool // POOL_PER_CLUSTER
    first, second, third = (min(k, limit) for k in wanted)
    if len({first, second, third}) < 3 or min(first, second, third) < 2:
        raise RequestError(
            f"corpus.clusters: expected three different K of 2 to {limit} (a pool of {pool:,} molecules allows at most "
            f"one cluster for {POOL_PER_CLUSTER}), got {', '.join(map(str, wanted))}; set corpus.clusters lower "
            "or corpus.molecules higher"
        )
    return first, second, third


def fit_centroids(keys: NDArray[np.uint8], k: int, seed: int) -> NDArray[np.float32]:
    """Return k centroids of the keys (N, 166), shape (k, 166), by mini-batch K-means.

    One thread, so that the result does not depend on the machine's number of cores.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    large = k > LARGEST_SPREAD_START
    fit = MiniBatchKMeans(
        n_clusters=k,
        init="random" if large else "k-means++",
        n_init=1,
        max_iter=EPOCHS_LARGE if large else EPOCHS,
        batch_size=min(max(3 * k, BATCH[0]), BATCH[1]),
        random_state=seed,
    )
    with threadpool_limits(limits=1):
        centroids = fit.fit(keys.astype(np.float32)).cluster_centers_
    return np.asarray(centroids, dtype=np.float32)


def assign(keys: NDArray[np.uint8], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of the nearest centroid (Euclidean) of each row of keys, shape (N,)."""
    from sklearn.metrics import pairwise_distances_argmin

    return np.asarray(pairwise_distances_argmin(keys.astype(np.float32), centroids), dtype=np.int64)
