"""What every registered method learns on the quadratic problems of the analytic suite, beside what would be best.

    python benchmarks/analytic_table.py [--protocol smoke] [--methods cp,tapweight,...] [--tasks analytic]
        [--seeds 0-9] [--set KEY=VALUE ...]

Runs everything in this process, without records. Printed for each task and method, as means over seeds:

- the final weights, of methods that weight the end task as well with that weight last,
- test RMSE, mean and standard deviation, after the fine-tuning that ends every method,
- distance: of theta, as it is before that, from the truth, in what the downstream head does not read; three levels
  want theta beyond the truth, since level II draws it back to the biased training part,
- to best: half the sum of absolute differences between the weights, rescaled to the objectives alone, and those
  which are best for what the method descends on: three levels, or for tapweight-blo two,
- excess: the validation loss of three (two) levels at the rescaled weights, all lower levels solved, less the least
  there is, in percent of that of equal weights.

Seeds whose end task got all the weight are left out of the last two.
Methods without learned weights are judged by the equal ones that they use; direct fine-tuning has none.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from tabulate import tabulate

from bench import chain
from bench.plan import parse_seeds
from bench.protocol import Protocol
from bench.protocol_files import load
from methods import METHODS
from methods.settings import BiLevelSettings, TriLevelSettings
from methods.stage import StageResult, Uninterrupted
from tasks.analytic import exact
from tasks.analytic.exact import EndTask
from tasks.analytic.quadratic import OBJECTIVES, TARGET, Array, D, K, quadratic
from tasks.catalogue import expand
from tasks.info import TaskInfo

EQUAL = np.full(len(OBJECTIVES), 1 / len(OBJECTIVES))


class Outcome(NamedTuple):
    """One cell."""

    weights: Array | None  # final; with the end task's last where it is weighted too
    rmse: float
    distance: float


def cell(name: str, task: TaskInfo, seed: int, rules: Protocol, shared: dict[str, StageResult]) -> Outcome:
    """Run one cell; ``shared`` keeps the outputs of stages by digest."""
    planned = chain.build(name, task.id, "analytic", seed, rules)
    problem, key = planned.problem(planned.links[-1], "cpu")
    weights, before, result = None, None, None
    for link in planned.links:
        before, result = result, shared.get(link.digest)
        if result is None:
            result = link.stage.run(planned.problem(link, "cpu")[0], before.weights if before else {}, Uninterrupted())
        if link.stage.shared:
            shared[link.digest] = result
        if link is not planned.links[0] and "trajectory" in result.log:
            weights = np.array(result.log["trajectory"]["weights"][-1])
    assert before is not None
    assert result is not None
    encoder, head = problem.encoder(), problem.downstream_head()
    encoder.load_state_dict(dict(result.models["best"].encoder))
    head.load_state_dict(dict(result.models["best"].head))
    theta = before.weights["encoder"]["theta"].numpy()
    distance = float(np.linalg.norm((theta - TARGET)[: D - K]))
    return Outcome(weights, problem.score(encoder, head, "test", key)["rmse"], distance)


def levels(name: str, task: TaskInfo, rules: Protocol) -> exact.Levels:
    """Return what a method is judged by: its own two levels if it has two, else the three of tapweight."""
    data = quadratic(task.name)
    train, val = EndTask.part(data, "train"), EndTask.part(data, "val")
    own = rules.resolve(METHODS.get(name), task, "analytic").settings.method
    if isinstance(own, BiLevelSettings):
        return exact.BiLevel(data, own.coefficient, train, val)
    three = rules.resolve(METHODS.get("tapweight"), task, "analytic").settings.own(TriLevelSettings)
    return exact.TriLevel(data, three.gamma, train, val)


def row(name: str, task: TaskInfo, outcomes: Sequence[Outcome], rules: Protocol) -> list[Any]:
    """One line of the table."""
    rmse = [outcome.rmse for outcome in outcomes]
    line = [name, "", f"{np.mean(rmse):.3f} ± {np.std(rmse, ddof=1) if len(rmse) > 1 else 0:.3f}"]
    line.append(f"{np.mean([outcome.distance for outcome in outcomes]):.2f}")
    found = [outcome.weights for outcome in outcomes if outcome.weights is not None]
    if not found:
        return [*line, "", ""]
    line[1] = " ".join(f"{value:.2f}" for value in np.mean(found, axis=0))
    problem = levels(name, task, rules)
    best = exact.best(problem, len(OBJECTIVES))
    alone = [s[: len(OBJECTIVES)] for s in found]
    # Of a method that gave the end task everything, nothing is left to judge.
    alone = [s / s.sum() for s in alone if s.sum() > 1e-9]
    if not alone:
        return [*line, "", ""]
    gap = np.mean([np.abs(s - best).sum() / 2 for s in alone])
    least, whole = problem.loss(best), problem.loss(EQUAL)
    excess = np.mean([problem.loss(s) - least for s in alone]) / (whole - least)
    return [*line, f"{gap:.2f}", f"{100 * excess:.1f}"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="smoke")
    parser.add_argument("--methods", default="")
    parser.add_argument("--tasks", default="analytic")
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rules, seeds = load(options.protocol, options.assignments), parse_seeds(options.seeds)
    names = options.methods.split(",") if options.methods else METHODS.names()
    for task in expand(options.tasks):
        able = [name for name in names if chain.backbone_for(METHODS.get(name), task) and not METHODS.get(name).missing]
        lines, shared = [], dict[str, StageResult]()
        for name in able:
            outcomes = [cell(name, task, seed, rules, shared) for seed in seeds]
            lines.append(row(name, task, outcomes, rules))
        best = exact.best(levels("tapweight", task, rules), len(OBJECTIVES))
        print(
            f"{task.id}, protocol {options.protocol}, {len(seeds)} seeds; weights of {', '.join(OBJECTIVES)}, end task"
        )
        print(f"best for three levels: {' '.join(f'{value:.2f}' for value in best)}")
        headers = ["method", "final weights", "test RMSE", "distance", "to best", "excess %"]
        print(tabulate(lines, headers=headers, disable_numparse=True), flush=True)
        print()
        if skipped := sorted(set(names) - set(able)):
            print(f"not run here: {', '.join(skipped)}\n")


if __name__ == "__main__":
    main()
