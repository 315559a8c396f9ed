"""Seconds of one pretraining step: ``cp`` against ``tapweight``, on molecule images of the demo suite.

    python benchmarks/step_cost.py [--protocol small] [--repeats 15] [--threads 1]

Prints medians of one run and their ratios. "tapweight, every step" moves levels II and III after each
pretraining step; "every k" is the average over k steps, as the protocol has it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from bench.commands.prepare import prepare_pairs
from bench.protocol_files import load
from methods import METHODS
from methods.hypergradient.forward import alignment, validation_gradient
from methods.settings import TriLevelSettings
from tasks import BACKBONES
from tasks.catalogue import get


def median(step: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of ``step`` after two warm-up calls."""
    spent = []
    for repeat in range(repeats + 2):
        begin = time.perf_counter()
        step()
        if repeat >= 2:
            spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = get("demo:logp")
    # The demo suite is smaller than the corpus of `small`; the cost of a step does not depend on it.
    changes = ["corpus.molecules=1600", "corpus.clusters=[4, 8, 16]"]
    rules = load(options.protocol, changes)
    prepare_pairs([("tapweight", task, "resnet18")], rules, mirror=None, download=False, workers=2)
    settings = rules.resolve(METHODS.get("tapweight"), task, "resnet18").settings
    two = settings.method
    assert isinstance(two, TriLevelSettings)
    backbone = BACKBONES.get("resnet18")
    problem, _ = backbone.build(backbone.describe(task, settings, 0), settings, "cpu")
    theta, omega = problem.encoder().train(), problem.encoder().train()
    heads, head = problem.objective_heads(), problem.downstream_head()
    batch = problem.stream("corpus", settings.continued.batch, "cost").batch(0)
    train = problem.stream("train", two.batch, "cost").batch(0)
    val = problem.stream("val", two.validation_batch, "cost").batch(0)
    v = validation_gradient(omega, head, lambda e, h: problem.downstream_loss(e, h, val))

    parts = {
        f"cp step (forward + backward, batch {settings.continued.batch})": lambda: (
            problem.objective_losses(theta, heads, batch).mean().backward()
        ),
        f"level II (forward + backward, batch {two.batch})": lambda: problem.downstream_loss(
            omega, head, train
        ).backward(),
        f"validation gradient (batch {two.validation_batch})": lambda: validation_gradient(
            omega, head, lambda e, h: problem.downstream_loss(e, h, val)
        ),
        "alignment (one forward-mode pass)": lambda: alignment(
            theta, heads, lambda e, h: problem.objective_losses(e, h, batch), v
        ),
        "views of a corpus batch": lambda: problem.stream("corpus", settings.continued.batch, "cost").batch(1),
    }
    seconds = {name: median(step, options.repeats) for name, step in parts.items()}
    cp, level_two, gradient, probe, views = seconds.values()
    seconds["tapweight step, every step"] = cp + level_two + gradient + probe
    seconds[f"tapweight step, every {two.every} (the protocol's)"] = cp + (level_two + gradient + probe) / two.every
    print(f"protocol {options.protocol}, {options.threads} thread(s), medians of {options.repeats}")
    for name, value in seconds.items():
        print(f"{name:48s} {1000 * value:8.1f} ms   {(value + views) / (cp + views):5.2f} x cp with its views")


if __name__ == "__main__":
    main()
