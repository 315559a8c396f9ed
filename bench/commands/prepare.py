"""Preparing data, for the command of that name and as the first step of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import RequestError
from bench.files import home
from bench.locks import building
from bench.plan import Pair, pairs, parse_backbones, parse_methods
from bench.protocol import Protocol
from bench.protocol_files import load
from methods import METHODS
from methods.settings import Settings
from slurm.executor import available_threads
from tasks import BACKBONES
from tasks.catalogue import expand
from tasks.info import TaskInfo
from tasks.pretrained import Published, prepare_model, published


def say(line: str) -> None:
    """Print a line about the progress of preparation."""
    print(line, file=sys.stderr, flush=True)


def check_jobs(jobs: int | None) -> None:
    """Raise RequestError if ``jobs``, the value of --jobs, is below 1."""
    if jobs is not None and jobs < 1:
        raise RequestError(f"--jobs: expected at least 1, got {jobs}")


def prepare_tasks(
    tasks: str, methods: str, protocol: str, assignments: Sequence[str],
    mirror: str | None, jobs: int | None, backbone: str | None,
) -> None:  # fmt: skip
    """Prepare for every one of ``methods`` that can run on the tasks, downloading what no mirror has.

    Raises
    ------
    RequestError: if a part of the request is wrong.
    NotPreparedError: naming the item that cannot be had.
    """
    check_jobs(jobs)
    rules, wanted = load(protocol, assignments), expand(tasks)
    fitting, _ = pairs(parse_methods(methods), wanted, parse_backbones(backbone))
    prepare_pairs(fitting, rules, mirror=mirror, download=True, workers=jobs or available_threads())
    say("prepared: " + ", ".join(dict.fromkeys(task.id for _, task, _ in fitting)))


def prepare_pairs(
    fitting: Iterable[Pair], rules: Protocol, *, mirror: str | None, download: bool, workers: int
) -> None:
    """Prepare everything that cells of these pairs read; once for all that share their data settings.

    Of processes that do so at once, the first builds what is missing.
    """
    groups: dict[tuple[str, ...], list[Pair]] = {}
    for name, task, backbone in fitting:
        settings = rules.resolve(METHODS.get(name), task, backbone).settings
        group = (
            backbone,
            *(part.model_dump_json() for part in (settings.corpus, settings.image, settings.text, settings.graph)),
        )
        groups.setdefault(group, []).append((name, task, backbone))
    with building(home(), say):
        for members in groups.values():
            name, first, backbone = members[0]
            tasks: dict[str, TaskInfo] = {task.id: task for _, task, _ in members}
            settings = rules.resolve(METHODS.get(name), first, backbone).settings
            BACKBONES.get(backbone).prepare(
                list(tasks.values()), settings, mirror=mirror, download=download, workers=workers, say=say
            )
            starts = [rules.resolve(METHODS.get(name), task, backbone).settings.start for name, task, _ in members]
            # Weights are loaded once here, and not again by each run.
            named = (start.checkpoint for start in starts if download and start.kind == "checkpoint")
            for checkpoint in dict.fromkeys(named):
                if model := published(checkpoint):
                    say(f"{model.name}: {_fetch(model, backbone, first.suite, settings, mirror)}")
                elif checkpoint and (read := BACKBONES.get(backbone).read_weights):
                    read(Path(checkpoint).expanduser(), first.suite, settings)


def _fetch(model: Published, backbone: str, suite: str, settings: Settings, mirror: str | None) -> Path:
    read = BACKBONES.get(backbone).read_weights
    if read is None or model.backbone != backbone:
        raise RequestError(
            f"start.checkpoint: expected weights for {backbone}, got {model.name}, which are for {model.backbone}"
        )
    return prepare_model(model, lambda path: read(path, suite, settings), mirror=mirror)
