"""Measure drawing and loading of molecule images on one thread: python benchmarks/images.py

Prints medians over repeats. Loading is timed as training sees it: decompress, to float, all views.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

RENDER_PIXELS, PIXELS, BATCH, MOLECULES, REPEATS = 128, 64, 64, 512, 5


def seconds(work: Callable[[int], object]) -> float:
    """Median wall time of ``work(repeat)``."""
    times = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        work(repeat)
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Run and print."""
    import torch

    from tasks.image.cache import ImageCache
    from tasks.image.render import render
    from tasks.image.views import corpus_views, to_unit
    from tasks.molecules.demo import demo_corpus
    from tasks.randomness import generator
    from tasks.settings import ImageSettings

    torch.set_num_threads(1)
    settings = ImageSettings(
        render_pixels=RENDER_PIXELS,
        pixels=PIXELS,
        width=8,
        flip=0.5,
        gray=0.2,
        rotation="right-angles",
        fill="white",
        jigsaw_keep=0.8,
        permutations=100,
        permutation_seed=0,
        mask_pixels=5,
        contrastive_share=0.25,
    )
    smiles = demo_corpus()[:MOLECULES]
    cache = ImageCache(RENDER_PIXELS, PIXELS)
    cache.ensure(smiles, 1, print)
    images = cache.load(smiles)
    rows = torch.randperm(MOLECULES, generator=generator(0, "rows"))[:BATCH]
    decoded = to_unit(images.images(rows), torch.device("cpu"))
    corpus_views(decoded, settings, generator(0, "warm-up"))  # builds the permutations

    def draw(repeat: int) -> None:
        for one in smiles[repeat * BATCH : (repeat + 1) * BATCH]:
            render(one, RENDER_PIXELS, PIXELS)

    drawn = seconds(draw)
    read = seconds(lambda _: to_unit(images.images(rows), torch.device("cpu")))
    views = seconds(lambda repeat: corpus_views(decoded, settings, generator(repeat, "views")))
    print(f"median of {REPEATS}, one thread, {RENDER_PIXELS} -> {PIXELS} pixels, batches of {BATCH}")
    print(f"drawn: {BATCH / drawn:,.0f} images a second")
    print(f"loaded: {BATCH / read:,.0f} images a second")
    print(f"loaded and made into views: {BATCH / (read + views):,.0f} images a second")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_HOME"] = folder  # a cache of its own
        main()
