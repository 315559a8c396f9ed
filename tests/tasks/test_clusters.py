"""MACCS keys and K-means labels."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import RequestError
from tasks.molecules.clusters import assign, effective_clusters, fit_centroids, maccs_keys
from tasks.molecules.demo import demo_corpus


def test_keys_of_known_molecules() -> None:
    keys = maccs_keys(["CCO", "c1ccccc1", "[Na+].[Cl-]"])
    assert keys.shape == (3, 166)
    assert set(np.unique(keys)) == {0, 1}
    ring, oxygen, fragments = 165 - 1, 164 - 1, 166 - 1  # keys 165, 164 and 166 of the published list
    assert keys[:, ring].tolist() == [0, 1, 0]
    assert keys[:, oxygen].tolist() == [1, 0, 0]
    assert keys[:, fragments].tolist() == [0, 0, 1]


def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.molecules.clusters.CHUNK", 10)
    smiles = demo_corpus()[:35]
    assert np.array_equal(maccs_keys(smiles, workers=2), maccs_keys(smiles))


def test_unreadable_molecule_is_named() -> None:
    with pytest.raises(RequestError, match="'C1CC'"):
        maccs_keys(["CC", "C1CC"])


def test_limit_of_clusters() -> None:
    assert effective_clusters((4, 8, 16), 1600) == (4, 8, 16)
    assert effective_clusters((100, 1000, 10_000), 250_000) == (100, 1000, 2500)
    with pytest.raises(RequestError, match=r"2 to 16 \(a pool of 1,600 molecules.*got 4, 32, 64; set corpus.clusters"):
        effective_clusters((4, 32, 64), 1600)


def test_assign_is_the_nearest_centroid() -> None:
    draws = np.random.default_rng(0)
    keys = draws.integers(0, 2, (50, 166)).astype(np.uint8)
    centroids = draws.random((7, 166)).astype(np.float32)
    distance = ((keys[:, None].astype(float) - centroids[None].astype(float)) ** 2).sum(axis=2)
    assert np.array_equal(assign(keys, centroids), distance.argmin(axis=1))


def test_separate_groups_are_found() -> None:
    draws = np.random.default_rng(0)
    centres = draws.integers(0, 2, (4, 166))
    truth = np.arange(400) % 4
    keys = (centres[truth] ^ (draws.random((400, 166)) < 0.03)).astype(np.uint8)
    labels = assign(keys, fit_centroids(keys, 4, seed=0))
    pairs = {(int(group), int(label)) for group, label in zip(truth, labels, strict=True)}
    assert len(pairs) == 4  # one label for each group


def test_fit_is_seeded() -> None:
    keys = maccs_keys(demo_corpus()[:300])
    assert np.array_equal(fit_centroids(keys, 5, 0), fit_centroids(keys, 5, 0))
    assert not np.array_equal(fit_centroids(keys, 5, 0), fit_centroids(keys, 5, 1))


def test_more_than_a_thousand_clusters_start_from_molecules() -> None:
    keys = np.random.default_rng(0).integers(0, 2, (2500, 166)).astype(np.uint8)
    centroids = fit_centroids(keys, 1001, 0)
    assert centroids.shape == (1001, 166)
    assert np.isfinite(centroids).all()
