"""Which molecules images and graphs are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tasks.graph.cache import Graphs
from tasks.graph.problem import LabelledGraphs, UnlabelledGraphs
from tasks.image.cache import Images
from tasks.image.problem import LabelledImages, UnlabelledImages
from tasks.labels import Split


def molecules(inputs: Images | Graphs, rows: ArrayLike) -> set[bytes]:
    """The digests of the molecules at ``rows``: the same whatever list of molecules they are rows of."""
    if isinstance(inputs, Graphs):
        places = inputs._places
        return {bytes(places.packs[places.pack_of[row]].digests[places.position[row]]) for row in np.asarray(rows)}
    return {bytes(inputs._packs[inputs._pack_of[row]].digests[inputs._position[row]]) for row in np.asarray(rows)}


def part(examples: LabelledImages | LabelledGraphs, split: Split) -> set[bytes]:
    """The digests of the molecules of one part of a task."""
    return molecules(inputs_of(examples), examples.labels.parts[split])


def inputs_of(examples: LabelledImages | LabelledGraphs | UnlabelledImages | UnlabelledGraphs) -> Images | Graphs:
    """Their images or graphs."""
    return examples.images if isinstance(examples, (LabelledImages, UnlabelledImages)) else examples.graphs
