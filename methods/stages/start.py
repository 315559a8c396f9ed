"""The general-domain starting weights: pretrained once from scratch, or read from a checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import NotPreparedError, RequestError
from bench.files import digest
from methods.settings import ContinuedSettings, StartSettings
from methods.stage import Context, Stage, StageResult, Weights, corpus_key
from tasks.pretrained import MODELS, model_path, published

if TYPE_CHECKING:
    from tasks.problem import Problem
    from tasks.spec import ProblemSpec


READ = (".json", ".safetensors", ".bin", ".txt")  # files of a saved model that results can depend on


def start_stage(settings: StartSettings, objectives: Mapping[str, float] | None = None) -> Stage:
    """Return the stage that makes the starting weights which ``settings`` describe.

    ``objectives`` are those that it trains on, if it trains, with their weights; none: those of ``settings``.

    Raises
    ------
    RequestError: if there are such objectives and the start is random.
    """
    if settings.kind == "pretrain":
        return FromScratch(settings, objectives or settings.weights)
    if settings.kind == "checkpoint":
        return FromCheckpoint(settings)
    if objectives:
        raise RequestError(
            "start.kind: expected pretrain or checkpoint, as the method is a pretraining of its own, got random"
        )
    return Random(settings)


@dataclass(frozen=True)
class Start(Stage):
    """A first stage: shared by all cells, with a seed of its own, so that every cell begins from the same weights."""

    settings: StartSettings
    name = "start"
    shared = True

    @property
    def origin(self) -> str:
        """Where the weights come from, for the record."""
        return "pretrained by this benchmark"

    def subject(self, spec: ProblemSpec) -> ProblemSpec:
        return replace(spec, seed=self.settings.seed)


@dataclass(frozen=True)
class FromScratch(Start):
    """Pretrain a random encoder on the corpus, on all objectives equally or on those that are named."""

    objectives: Mapping[str, float] | None = None

    def validate(self, spec: ProblemSpec) -> None:
        self._training().validate(spec)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        named = {} if self.objectives is None else {"weights": dict(self.objectives)}
        return corpus_key(spec) | named | {"settings": self.settings.model_dump(mode="json", exclude={"checkpoint"})}

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        """Ignore ``start``: there is nothing before."""
        from methods.stages.common import copy_state

        fresh = {"encoder": copy_state(problem.encoder()), "heads": copy_state(problem.objective_heads())}
        return self._training().run(problem, fresh, context)

    def _training(self) -> Stage:
        from methods.stages.continued import Continued
        from methods.stages.selected import Selected

        assert self.settings.optimiser is not None
        settings = ContinuedSettings(
            steps=self.settings.steps, batch=self.settings.batch, optimiser=self.settings.optimiser
        )
        if self.objectives is None:
            return Continued(settings, name=self.name)
        return Selected(settings, name=self.name, weights=self.objectives)


class FromCheckpoint(Start):
    """Read weights that others trained: an ImageMol-style file, or the folder of a saved language model.

    Objective heads are those of the checkpoint where it holds any, else fresh.
    """

    trains = False

    @property
    def origin(self) -> str:
        name = self.settings.checkpoint
        return f"published weights, {name if published(name) else Path(name).name}"

    def check(self) -> None:
        self._path()

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        path = self._path()
        files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in READ)
        found = {file.name: _checksum(file, file.stat().st_size, file.stat().st_mtime_ns) for file in files}
        checkpoint = found[path.name] if path.is_file() else digest(found)
        return corpus_key(spec) | {"checkpoint": checkpoint, "seed": self.settings.seed}

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        """Ignore ``start``: there is nothing before."""
        from methods.stages.common import copy_state

        encoder, heads = problem.load_checkpoint(self._path()), problem.load_heads(self._path())
        return StageResult({"encoder": copy_state(encoder), "heads": copy_state(heads)})

    def _path(self) -> Path:
        path = model_path(self.settings.checkpoint)
        if not self.settings.checkpoint or not path.exists():
            raise NotPreparedError(
                "start.checkpoint: expected the ImageMol weights (ImageMol.pth.tar, linked from the ImageMol "
                "repository's README), for graphs those of a GIN, for text the folder of a saved model, or one of "
                f"{', '.join(MODELS)} and hf:NAME of the Hugging Face hub, which `prepare` fetches; got "
                f"{self.settings.checkpoint or 'no path'!r}; pass --set start.checkpoint=PATH, or choose --protocol "
                "small, which pretrains its own"
            )
        return path


class Random(Start):
    """Weights as they are drawn from the seed: nothing is trained."""

    trains = False

    @property
    def origin(self) -> str:
        return "random"

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return {name: corpus_key(spec)[name] for name in ("backbone", "encoder", "objectives")} | {
            "seed": self.settings.seed
        }

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        """Ignore ``start``: there is nothing before."""
        from methods.stages.common import copy_state

        return StageResult({"encoder": copy_state(problem.encoder()), "heads": copy_state(problem.objective_heads())})


@lru_cache(maxsize=8)
def _checksum(path: Path, size: int, changed: int) -> str:
    # Every cell of a plan asks; size and time of change tell whether it is still the same file.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
