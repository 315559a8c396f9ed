"""CPU seconds of the cells of text tasks, from the cost of a step: plan a run before it starts.

    python benchmarks/text_cells.py [--tasks glue:rte,...] [--methods all] [--protocol small] [--set KEY=VALUE ...]
        [--steps 12] [--limit 240]

The tasks must be prepared. Of each stage of each method ``--steps`` steps are run, from random weights, on one thread,
and their mean is multiplied by the steps that the protocol asks for; scores on validation are timed once and counted.
Early stopping and the test score are left out. The general-domain start, which all cells share, is printed by itself;
other shared stages, which the tasks of a suite have in common, count in every cell. Times are CPU time, so another busy
process changes them little. Cells above ``--limit`` have a star.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tabulate import tabulate

from bench import chain
from bench.chain import Chain, Link
from bench.files import digest
from bench.protocol import Protocol
from bench.protocol_files import load
from methods import METHODS
from methods.stage import Stage
from tasks.catalogue import expand, get

BACKBONE = "roberta"
WARM = 2  # steps that are not counted
TASKS = "glue:rte,glue:mrpc,glue:cola,tartan:acl-arc"


class Enough(Exception):
    """The steps to be timed are done."""


class Timed:
    """A context that times the first steps of a stage and then ends it."""

    def __init__(self, steps: int) -> None:
        self.count, self.total, self.seconds = steps, 0, list[float]()

    def steps(self, total: int, parts: Mapping[str, Any], examples: int) -> Iterator[int]:
        """Yield a few steps; raises Enough after them."""
        import torch

        self.total = total
        for step in range(min(self.count + WARM, total)):
            torch.manual_seed(step)
            begin = time.process_time()
            yield step
            self.seconds.append(time.process_time() - begin)
        raise Enough


class Planner:
    """Costs of the stages of one task; those that several methods have alike are timed once."""

    def __init__(self, rules: Protocol, steps: int) -> None:
        self.rules, self.steps = rules, steps
        self.known: dict[str, float] = {}
        self.scoring: dict[str, float] = {}
        self.problems: dict[tuple[str, int], Any] = {}

    def cell(self, method: str, task: str) -> tuple[float, float]:
        """Return the CPU seconds of the start and those of all other stages."""
        planned = chain.build(method, task, BACKBONE, 0, self.rules)
        first, *others = planned.links
        return self.cost(planned, first, first.stage), sum(self.cost(planned, link, link.stage) for link in others)

    def cost(self, planned: Chain, link: Link, stage: Stage) -> float:
        """Return the CPU seconds of a stage."""
        from methods.stages.continued import Continued
        from methods.stages.finetune import FineTune
        from methods.stages.joint import Joint
        from methods.stages.rewound import Rewound
        from methods.stages.search import Search

        if isinstance(stage, Rewound):
            return self.cost(planned, link, stage.inner)
        if isinstance(stage, Search):
            parts = Continued(stage.pretraining), FineTune(stage.finetuning)
            return stage.trials * sum(self.cost(planned, link, part) for part in parts)
        name = digest([type(stage).__name__, stage.key(link.spec)])
        if name not in self.known:
            per_step, steps = self.time(planned, link, stage)
            scores = 0
            if isinstance(stage, FineTune):
                scores = stage.settings.epochs
            elif isinstance(stage, Joint):
                scores = -(-steps // stage.settings.evaluate_every)
            self.known[name] = steps * per_step + (scores * self.score(planned) if scores else 0.0)
        return self.known[name]

    def time(self, planned: Chain, link: Link, stage: Stage) -> tuple[float, int]:
        """Return the mean CPU seconds of a step, and how many the stage takes."""
        import torch

        from methods.stages.common import copy_state
        from methods.stages.rewound import LEARNED

        problem = self.problem(planned, link)
        n = len(problem.objectives)
        start = {
            "encoder": copy_state(problem.encoder()),
            "heads": copy_state(problem.objective_heads()),
            LEARNED: {"s": torch.full((n,), 1 / n, dtype=torch.float64)},
        }
        context = Timed(self.steps)
        begin = time.process_time()
        try:
            stage.run(problem, start, context)
        except Enough:
            return statistics.fmean(context.seconds[min(WARM, len(context.seconds) - 1) :]), context.total
        return time.process_time() - begin, 1  # it has no steps: a checkpoint is read

    def score(self, planned: Chain) -> float:
        """Return the CPU seconds of a score on validation."""
        task = planned.task.id
        if task not in self.scoring:
            problem = self.problem(planned, planned.links[-1])
            encoder, head = problem.encoder(), problem.downstream_head()
            begin = time.process_time()
            problem.score(encoder, head)
            self.scoring[task] = time.process_time() - begin
        return self.scoring[task]

    def problem(self, planned: Chain, link: Link) -> Any:
        """Return the problem of a stage, loaded once: all methods must have one set of data settings."""
        name = link.spec.task.id, link.spec.seed
        if name not in self.problems:
            self.problems[name] = planned.problem(link, "cpu")[0]
        return self.problems[name]


def main() -> None:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--methods", default="all")
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--limit", type=float, default=240)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = [task.id for task in expand(options.tasks)]
    names = METHODS.names() if options.methods == "all" else options.methods.split(",")
    names = [
        name for name in names if BACKBONE in chain.backbones_of(METHODS.get(name)) and not METHODS.get(name).missing
    ]
    planner = Planner(load(options.protocol, options.assignments), options.steps)
    rows, starts = [], dict[str, float]()
    for name in names:
        seconds = []
        for task in tasks:
            start, own = planner.cell(name, task)
            starts[get(task).suite] = start
            seconds.append(own)
        rows.append([name, *(f"{one:.0f}{'*' if one > options.limit else ''}" for one in seconds)])
        print(*rows[-1], flush=True)
    print(f"\nCPU seconds of a cell, protocol {options.protocol} {' '.join(options.assignments)}")
    print(tabulate(rows, headers=["method", *tasks], disable_numparse=True, colalign=("left", *["right"] * len(tasks))))
    print("start, once: " + ", ".join(f"{suite} {seconds:.0f}" for suite, seconds in starts.items()))


if __name__ == "__main__":
    main()
