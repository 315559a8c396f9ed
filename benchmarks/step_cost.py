"""Seconds and memory of one pretraining step of every method, relative to a ``cp`` step.

    python benchmarks/step_cost.py [--encoder image|text] [--protocol small] [--methods all|cp,tapweight,...]
        [--set KEY=VALUE ...] [--variants [TEXT ...]] [--steps 12] [--rounds 3] [--threads 1]

Each method's own pretraining stage, of several the last, runs ``--steps`` steps, in a process of its own,
``--rounds`` times in turn. ``all`` leaves out fine-tuning alone, which has none, the searches, whose steps are
those of cp, and what does not run on such inputs. Printed: the median over rounds of the mean seconds of a
step, the smallest and largest round, the ratio to ``cp`` of the same rounds, and the peak memory of the stage.
The last and the first four steps are not counted, so that a mean over a whole cycle of the upper level needs a
multiple of its period, which tapweight keeps here.
``--variants`` adds tapweight with other hypergradients, and theta and omega trained side by side: all, or those
whose label holds one of the texts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from methods.settings import Settings
    from methods.stage import Weights
    from tasks.problem import Problem

WARM = 4  # steps that are not counted
# The demo suite is smaller than the corpus of `small`, and weights are random at first, so that rates for trained ones
# may let losses overflow; the cost of a step depends on neither.
CORPUS = ("corpus.molecules=1600", "corpus.clusters=[4, 8, 16]")
RATE = "continued.optimiser.lr=1e-5"
PERIOD = "tapweight.largest_move=null"  # how often trained weights move fast is a matter of the task
PHASES = ("continued", "tapt", "dapt", "simcse", "cp-frozen")  # sections that may set the steps of a stage
EXACT = ("tapweight.unroll_one=1", "tapweight.point=post")
# label -> (method, assignments)
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tapweight, exact (forward, every step)": ("tapweight", (*EXACT, "tapweight.hypergradient.name=forward")),
    "tapweight, central, every step": ("tapweight", (*EXACT, "tapweight.hypergradient.name=central")),
    "tapweight, backward, every step": ("tapweight", (*EXACT, "tapweight.hypergradient.name=backward")),
    "tapweight, one-sided, every step": (
        "tapweight", ("tapweight.unroll_one=1", "tapweight.point=pre", "tapweight.hypergradient.name=one-sided"),
    ),
    "tapweight, as released, every step": ("tapweight", (*EXACT, "tapweight.hypergradient.name=as-released")),
    "tapweight, forward, every 4": (
        "tapweight", ("tapweight.unroll_one=4", "tapweight.point=post", "tapweight.hypergradient.name=forward"),
    ),
    "tapweight, central, every 4": (
        "tapweight", ("tapweight.unroll_one=4", "tapweight.point=post", "tapweight.hypergradient.name=central"),
    ),
    "tapweight, one-sided, every 4": (
        "tapweight", ("tapweight.unroll_one=4", "tapweight.point=pre", "tapweight.hypergradient.name=one-sided"),
    ),
    "theta and omega side by side": ("tapweight", ("tapweight.unroll_one=1", "tapweight.unroll_two=1000000")),
}  # fmt: skip


class Timed:
    """A context that times each step of a stage."""

    def __init__(self) -> None:
        self.seconds = list[float]()

    def steps(self, total: int, parts: Mapping[str, Any], examples: int) -> Iterator[int]:
        """Yield all steps."""
        for step in range(total):
            begin = time.perf_counter()
            yield step
            self.seconds.append(time.perf_counter() - begin)


def measure(method: str, assignments: list[str], encoder: str, protocol: str, steps: int) -> dict[str, float]:
    """Run the pretraining stage of ``method`` in this process."""
    import torch

    from bench import memory
    from methods import METHODS
    from methods.stage import Uninterrupted
    from methods.stages.finetune import FineTune

    # The last step is not counted: joint training scores in it.
    steps_of = [f"{section}.steps={WARM + steps + 1}" for section in PHASES]
    settings, problem, start = setting(method, [*assignments, *steps_of], encoder, protocol)
    *earlier, stage = [stage for stage in METHODS.get(method).stages(settings) if not isinstance(stage, FineTune)]
    context = Timed()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    weights: Weights = start
    for before_it in earlier:
        weights = before_it.run(problem, weights, Uninterrupted()).weights
    memory.reset("cpu")
    before = memory.peak("cpu")
    stage.run(problem, weights, context)
    return {"seconds": statistics.fmean(context.seconds[WARM:-1]), "bytes": memory.peak("cpu") - before}


def setting(
    method: str, assignments: list[str], encoder: str, protocol: str
) -> tuple[Settings, Problem, dict[str, dict[str, Tensor]]]:
    """Return the settings of ``method``, the problem of an encoder, and the weights that all start from."""
    from text_sized import TextSized

    from bench.protocol_files import load
    from methods import METHODS
    from methods.hypergradient.precision import in_precision
    from tasks import BACKBONES
    from tasks.catalogue import get

    task = get("demo:logp")
    rules = load(protocol, [*CORPUS, RATE, PERIOD, *assignments])
    settings = rules.resolve(METHODS.get(method), task, "resnet18").settings
    problem: Problem = TextSized()
    if encoder == "image":
        backbone = BACKBONES.get("resnet18")
        problem, _ = backbone.build(backbone.describe(task, settings, 0), settings, "cpu")
    start = {"encoder": problem.encoder().state_dict(), "heads": problem.objective_heads().state_dict()}
    return settings, in_precision(problem, settings.training.precision), start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=("image", "text"), default="image")
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--methods", default="cp,tapweight")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    parser.add_argument("--variants", nargs="*", metavar="TEXT")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)  # what a child process measures, as JSON
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    prepare(options.protocol)
    wanted: dict[str, tuple[str, tuple[str, ...]]] = {"cp": ("cp", ())}
    wanted |= {name: (name, ()) for name in named(options.methods, options.encoder)}
    if options.variants is not None:
        texts = options.variants or [""]
        wanted |= {label: variant for label, variant in VARIANTS.items() if any(text in label for text in texts)}
    rounds: dict[str, list[dict[str, float]]] = {label: [] for label in wanted}
    for _ in range(options.rounds):
        for label, (method, assignments) in wanted.items():
            request = {
                "method": method, "assignments": [*options.assignments, *assignments], "encoder": options.encoder,
                "protocol": options.protocol, "steps": options.steps,
            }  # fmt: skip
            rounds[label].append(_child(request, options.threads))
    print(f"{options.encoder} encoder, protocol {options.protocol}, {' '.join(options.assignments)} "
          f"{options.threads} thread(s), {options.rounds} rounds of {options.steps} steps")  # fmt: skip
    print(f"{'':44s} {'ms/step':>8s} {'min':>8s} {'max':>8s} {'x cp':>6s} {'MiB':>6s}")
    for label, found in rounds.items():
        seconds = [1000 * one["seconds"] for one in found]
        ratio = statistics.median(one["seconds"] / cp["seconds"] for one, cp in zip(found, rounds["cp"], strict=True))
        memory = statistics.median(one["bytes"] for one in found) / 2**20
        print(f"{label:44s} {statistics.median(seconds):8.1f} {min(seconds):8.1f} {max(seconds):8.1f} "
              f"{ratio:6.2f} {memory:6.0f}")  # fmt: skip


def named(methods: str, encoder: str) -> list[str]:
    """Return the methods that are asked for."""
    from bench.chain import backbones_of
    from methods import METHODS

    if methods != "all":
        return methods.split(",")
    left_out = {"finetune", "search-random", "search-tpe"}
    backbone = {"image": "resnet18", "text": "roberta"}[encoder]
    return [name for name in METHODS.names() if name not in left_out and backbone in backbones_of(METHODS.get(name))]


def prepare(protocol: str) -> None:
    """Write what the image problem reads to the cache."""
    from bench.commands.prepare import prepare_pairs
    from bench.protocol_files import load
    from tasks.catalogue import get

    prepare_pairs(
        [("cp", get("demo:logp"), "resnet18")], load(protocol, CORPUS), mirror=None, download=False, workers=2
    )


def _child(request: dict[str, Any], threads: int) -> dict[str, float]:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, "--one", json.dumps(request)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
