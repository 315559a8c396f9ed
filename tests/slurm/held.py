"""The stages of a method of other people: TapWeight, waiting, raising or dying in the middle where a file says so."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from methods.settings import Settings, TriLevelSettings
from methods.stage import Context, Stage, StageResult, Stateful, Weights
from methods.stages.finetune import FineTune
from methods.stages.trilevel import TriLevel
from slurm.interruption import requested
from tasks.problem import Problem

FOLDER = "BENCH_TEST_HELD"  # environment variable: where the faults are told and the steps noted; else it is TapWeight
STEP = 5  # from which on faults strike: after steps that a checkpoint may hold


class Held:
    """The steps of ``context``, each noted as it begins, with the fault of ``seed`` from ``STEP`` on.

    ``faults.json`` says of a seed "hold" (wait until ``go`` is there, or the process is asked to stop), "raises",
    "dies" or "dies once".
    """

    def __init__(self, context: Context, seed: int, folder: Path) -> None:
        self.context, self.seed, self.folder = context, seed, folder

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        for step in self.context.steps(total, parts, examples):
            with (self.folder / f"{self.seed}.steps").open("a") as file:
                file.write(f"{os.getpid()} {os.getppid()} {step}\n")
            if step >= STEP:
                self._strike()
            yield step

    def _strike(self) -> None:
        fault = json.loads((self.folder / "faults.json").read_text()).get(str(self.seed))
        if fault == "hold":
            while not (requested() or (self.folder / "go").exists()):
                time.sleep(0.02)
        elif fault == "raises":
            raise ArithmeticError(f"seed {self.seed} cannot be")
        elif fault == "dies" or (fault == "dies once" and not (self.folder / f"{self.seed}.died").exists()):
            (self.folder / f"{self.seed}.died").touch()
            print(f"last words of seed {self.seed}")
            os.kill(os.getpid(), signal.SIGKILL)


class HeldTriLevel(TriLevel):
    """TapWeight's three levels with faults."""

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        if folder := os.environ.get(FOLDER):
            context = Held(context, problem.spec.seed, Path(folder))
        return super().run(problem, start, context)


def stages(settings: Settings) -> list[Stage]:
    """Those of the method: TapWeight's, the first with faults."""
    three_levels = HeldTriLevel(settings.continued, settings.own(TriLevelSettings), "val")
    return [three_levels, FineTune(settings.finetune)]
