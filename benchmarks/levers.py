"""Does it pay? Seconds of a ``cp`` step, and of a one-sided difference, as they are and with one thing done otherwise.

    python benchmarks/levers.py [--encoder image|text] [--protocol small] [--set KEY=VALUE ...]
        [--steps 12] [--rounds 5] [--threads 1]

One process; in each round every way takes ``--steps`` steps from weights of its own, on the same batches.
Printed: the median over rounds of the mean seconds of a step, the smallest and largest round, and the median
ratio to the step as it is. Memory: see ``step_cost.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from step_cost import prepare, setting
from torch import Tensor

from methods.hypergradient.central import scaled
from methods.hypergradient.functional import Parameters, shared
from methods.hypergradient.one_sided import one_sided
from methods.hypergradient.precision import in_precision
from methods.hypergradient.probe import Probe
from methods.settings import Precision
from methods.stages.common import PURPOSE, Pretraining

RADIUS = 0.01


@dataclass(frozen=True)
class Step:
    """A step of ``cp``, perhaps with one thing done otherwise."""

    body: Pretraining
    keep: bool = False  # gradients are set to 0 in place instead of freed

    def __call__(self, step: int) -> None:
        batch = self.body.problem.stream("corpus", self.body.settings.batch, PURPOSE).batch(step)
        self.body.losses(batch, step).mean().backward()  # type: ignore[no-untyped-call]
        if self.keep:
            self.body.optimiser.step()
            self.body.optimiser.zero_grad(set_to_none=False)
        else:
            self.body.move(step)


@dataclass(frozen=True)
class Alignment:
    """A one-sided difference; with ``buffers``, theta + e v is written where that of the last step was."""

    body: Pretraining
    base: Tensor  # (n,)
    v: Parameters
    buffers: Parameters | None = None

    def __call__(self, step: int) -> None:
        batch = self.body.problem.stream("corpus", self.body.settings.batch, PURPOSE).batch(step)
        function, theta = self.body.function(batch)
        if self.buffers is None:
            one_sided(
                Probe(function, theta, self.v, torch.full_like(self.base, 1 / len(self.base)), base=self.base), RADIUS
            )
            return
        e = scaled(RADIUS, self.v)
        with torch.no_grad():
            for name, buffer in self.buffers.items():
                torch.add(theta[name], e * self.v[name], out=buffer)
            (function(self.buffers) - self.base) / e


def ways(options: argparse.Namespace) -> dict[str, Callable[[int], None]]:
    """Return what is compared, each with weights of its own."""
    settings, problem, start = setting("cp", options.assignments, options.encoder, options.protocol)

    def body(precision: Precision = "float32", **groups: bool) -> Pretraining:
        made = Pretraining(in_precision(problem, precision), start, settings.continued, "levers")
        for group in made.optimiser.param_groups:
            group.update(groups)
        return made

    theta = shared(body().function(problem.stream("corpus", settings.continued.batch, PURPOSE).batch(0))[1])
    v = {name: torch.randn_like(value) for name, value in theta.items()}
    base = torch.zeros(len(problem.objectives))
    buffers = {name: torch.empty_like(value) for name, value in theta.items()}
    return {
        "step": Step(body()),
        "step, fused optimiser": Step(body(fused=True, foreach=False)),
        "step, optimiser over lists of tensors": Step(body(foreach=True)),
        "step, gradients kept and set to 0": Step(body(), keep=True),
        "step, encoder in bfloat16": Step(body("bfloat16")),
        "one-sided difference": Alignment(body(), base, v),
        "one-sided difference, buffers reused": Alignment(body(), base, v, buffers),
    }


def seconds(way: Callable[[int], None], steps: Iterable[int]) -> float:
    """Return the mean seconds of a step."""
    taken = []
    for step in steps:
        begin = time.perf_counter()
        way(step)
        taken.append(time.perf_counter() - begin)
    return statistics.fmean(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=("image", "text"), default="image")
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prepare(options.protocol)
    compared = ways(options)
    for way in compared.values():
        seconds(way, range(2))
    rounds: dict[str, list[float]] = {label: [] for label in compared}
    for turn in range(options.rounds):
        for label, way in compared.items():
            rounds[label].append(seconds(way, range(options.steps * turn, options.steps * (turn + 1))))
    print(f"{options.encoder} encoder, protocol {options.protocol}, {' '.join(options.assignments)} "
          f"{options.threads} thread(s), {options.rounds} rounds of {options.steps} steps")  # fmt: skip
    print(f"{'':40s} {'ms':>8s} {'min':>8s} {'max':>8s} {'x':>6s}")
    for label, found in rounds.items():
        ratio = statistics.median(
            one / plain for one, plain in zip(found, rounds[label.partition(",")[0]], strict=True)
        )
        print(f"{label:40s} {1000 * statistics.median(found):8.1f} {1000 * min(found):8.1f} "
              f"{1000 * max(found):8.1f} {ratio:6.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
