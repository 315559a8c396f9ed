"""Do two ways of learning the weights differ? The weights at each quarter of the run, compared over seeds by exact
permutation tests, Holm over quarters and objectives.

    python benchmarks/trajectories.py --task bace --protocol small --seeds 0-9 --out FOLDER \\
        --variant exact tapweight.unroll_one=1 tapweight.rate=0.02 tapweight.optimiser.lr=1.667e-4 --variant default

Each variant is a name and assignments on top of the protocol; the first is what the others are compared
with. A variant that moves the upper levels k times as often needs both rates, of the weights and of level II,
divided by k. Only the stages up to the learning one run, on the starting weights that the cache holds. Results
are kept in FOLDER, one JSON file for each variant and seed, so that a second call goes on, and two calls with
different seeds can run at once.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import artifacts, chain
from bench.chain import Chain
from bench.files import write_json
from bench.plan import parse_seeds
from bench.protocol_files import load
from leaderboard.content import TaskCurves, WeightCurves
from leaderboard.pictures.style import save
from leaderboard.pictures.weights import panels
from leaderboard.statistics.holm import holm
from leaderboard.statistics.permutation import two_sample
from leaderboard.weights import joined
from methods import METHODS
from methods.stage import Uninterrupted
from methods.stages.finetune import FineTune
from tasks.catalogue import get


def planned(options: argparse.Namespace, assignments: list[str], seed: int) -> Chain:
    """Return the cell of one variant and seed; its identity names everything that matters."""
    info = get(options.task)
    rules = load(options.protocol, assignments)
    backbone = chain.backbone_for(METHODS.get(options.method), info)
    assert backbone is not None
    return chain.build(options.method, info.id, backbone, seed, rules)


def learn(cell: Chain) -> dict[str, Any]:
    """Return the trajectory of one run and its seconds."""
    import torch

    torch.set_num_threads(1)
    result = None
    for link in cell.links:
        if isinstance(link.stage, FineTune):
            break
        if link.done:
            result = artifacts.load(artifacts.folder(link.stage.name, link.digest))[0]
            continue
        problem, _ = cell.problem(link, "cpu")
        begin = time.perf_counter()
        result = link.stage.run(problem, result.weights if result else {}, Uninterrupted())
    assert result is not None
    return {"seconds": time.perf_counter() - begin, **result.log["trajectory"]}


def main() -> None:
    """Run what is missing, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="tapweight")
    parser.add_argument("--task", required=True)
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", nargs="+", action="append", required=True, metavar="NAME [KEY=VALUE]")
    parser.add_argument("--picture", type=Path, help="draw the weights of all variants, as PNG and SVG")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for name, *assignments in options.variant:
        for seed in parse_seeds(options.seeds):
            path = options.out / f"{planned(options, assignments, seed).cell.identity}.json"
            if not path.is_file():
                write_json(path, learn(planned(options, assignments, seed)))
            found.setdefault(name, []).append(json.loads(path.read_text(encoding="utf-8")))
    names = list(found)
    objectives = found[names[0]][0]["objectives"]
    final = {name: np.array([run["weights"][-1] for run in runs]) for name, runs in found.items()}
    print(f"{options.task}, protocol {options.protocol}, {len(final[names[0]])} seeds; final weights, mean +- sd")
    for name in names:
        cells = (f"{m:.3f} +- {s:.3f}" for m, s in zip(final[name].mean(0), final[name].std(0, ddof=1), strict=True))
        print(f"{name:24s} {np.mean([run['seconds'] for run in found[name]]):7.1f} s  {'  '.join(cells)}")
    steps = max(run["steps"][-1] for runs in found.values() for run in runs)
    for name in names[1:]:
        p = holm([
            two_sample(mine[:, k], theirs[:, k], generator=np.random.default_rng(0)).p
            for mine, theirs in zip(quarters(found[name], steps), quarters(found[names[0]], steps), strict=True)
            for k in range(len(objectives))
        ])  # fmt: skip
        told = ", ".join(f"{o} {value:.3f}" for o, value in zip(objectives, p[-len(objectives) :], strict=True))
        print(f"{name} against {names[0]}: p after Holm at the end {told}; smallest of all quarters {min(p):.3f}")
    if options.picture:
        curves = [drawn(name, runs) for name, runs in found.items()]
        shown = TaskCurves(task=options.task, weights=curves, learning=[])
        title = {"Title": f"Objective weights on {options.task}"}
        save(lambda: panels(shown, options.protocol), options.picture.with_suffix(""), title)


def quarters(runs: list[dict[str, Any]], steps: int) -> list[np.ndarray]:
    """Return the weights (seeds, n) after each quarter of ``steps``; equal ones before the first move."""
    n, found = len(runs[0]["objectives"]), []
    for quarter in range(1, 5):
        moves = [np.searchsorted(run["steps"], steps * quarter / 4, side="right") for run in runs]
        found.append(
            np.array([run["weights"][m - 1] if m else [1 / n] * n for run, m in zip(runs, moves, strict=True)])
        )
    return found


def drawn(name: str, runs: list[dict[str, Any]]) -> WeightCurves:
    """Return the mean and spread of the weights over seeds."""
    steps, weights = joined([dict(zip(run["steps"], run["weights"], strict=True)) for run in runs])
    return WeightCurves(
        row=name, control_of=None, objectives=runs[0]["objectives"], unit="pretraining step",
        seeds=len(runs), note=None, steps=steps, mean=weights.mean(0).tolist(),
        sd=weights.std(0, ddof=1).tolist() if len(runs) > 1 else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
