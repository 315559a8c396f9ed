"""The command line. Commands import what they need when they run, so that help and lists answer at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="bench",
    help="Compare objective-reweighting methods for task-adaptive pretraining: methods x tasks x seeds -> leaderboard.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

Methods = Annotated[str, typer.Option(help="Names, separated by commas; see `list methods`.")]
Tasks = Annotated[str, typer.Option(help="Suites and tasks, such as moleculenet:bace,demo; see `list tasks`.")]
Seeds = Annotated[str, typer.Option(help="Such as 0-4 or 0,2,5.")]
Protocol = Annotated[str, typer.Option(help="paper, small, smoke, or a YAML file; see `list protocols`.")]
Set = Annotated[Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Change one protocol value.")]  # noqa: UP045 - typer reads it
Out = Annotated[Optional[Path], typer.Option(help="Folder of the run; by default runs/PROTOCOL.")]  # noqa: UP045
Mirror = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(envvar="BENCH_MIRROR", help="Folder or address of the data, tried before the public addresses."),
]
Retry = Annotated[Optional[str], typer.Option(metavar="failed", help="Run only the cells that failed before.")]  # noqa: UP045
Focus = Annotated[Optional[str], typer.Option(help="The method compared with every other.")]  # noqa: UP045


@app.command()
def run(
    methods: Methods,
    tasks: Tasks,
    seeds: Seeds = "0-4",
    protocol: Protocol = "small",
    set_: Set = None,
    out: Out = None,
    mirror: Mirror = None,
    jobs: Annotated[Optional[int], typer.Option(help="Cells at a time; by default one a core, one on a GPU.")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    retry: Retry = None,
    focus: Focus = None,
) -> None:
    """Run every cell of methods x tasks x seeds that has no record yet, then print the leaderboard.

    Exit code: 0 done, 1 some cells failed, 2 the request was wrong, 3 data is not prepared.
    """
    from bench.commands.run import Request, run

    request = Request.parse(methods, tasks, seeds, protocol, set_ or [], out, mirror, retry)
    raise typer.Exit(run(request, jobs, device, focus))


@app.command()
def plan(
    methods: Methods,
    tasks: Tasks,
    seeds: Seeds = "0-4",
    protocol: Protocol = "small",
    set_: Set = None,
    out: Out = None,
    retry: Retry = None,
) -> None:
    """Say what `run` would do: cells, records found, shared stages, hours. Starts nothing."""
    from bench.commands.run import Request, show_plan

    show_plan(Request.parse(methods, tasks, seeds, protocol, set_ or [], out, None, retry))


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(metavar="methods|tasks|suites|protocols")],
) -> None:
    """List what there is."""
    from bench.commands.catalogue import listing

    typer.echo(listing(what))


@app.command()
def show(
    name: Annotated[list[str], typer.Argument(metavar="NAME", help="A method, task, suite or protocol.")],
    method: Annotated[Optional[str], typer.Option(help="With a protocol: what its cells would use.")] = None,  # noqa: UP045
    task: Annotated[Optional[str], typer.Option(help="With a protocol: what its cells would use.")] = None,  # noqa: UP045
    set_: Set = None,
) -> None:
    """Describe a method, task, suite or protocol; with --method and --task, every value and where it comes from."""
    from bench.commands.catalogue import describe

    typer.echo(describe(name, method, task, set_ or []))


@app.command()
def prepare(
    tasks: Tasks,
    protocol: Protocol = "small",
    set_: Set = None,
    mirror: Mirror = None,
    jobs: Annotated[Optional[int], typer.Option(help="Processes; by default one a core.")] = None,  # noqa: UP045
) -> None:
    """Fetch, verify, convert and cache everything that the tasks need. The only command that uses the network."""
    from bench.commands.prepare import prepare_tasks

    prepare_tasks(tasks, protocol, set_ or [], mirror, jobs)


@app.command()
def status(out: Annotated[Path, typer.Option(help="Folder of a run.")]) -> None:
    """Say how far a run is: done, running with step, failed with reason, missing."""
    from bench.commands.status import status_of

    typer.echo(status_of(out))


@app.command()
def report(out: Annotated[Path, typer.Option(help="Folder of a run.")], focus: Focus = None) -> None:
    """Write leaderboard.md, report.json and the pictures from the records there are, and print the leaderboard."""
    from bench.commands.report import write_report

    typer.echo(write_report(out, focus))


@app.command()
def clean(
    out: Annotated[Optional[Path], typer.Option(help="Folder of a run: delete its checkpoints.")] = None,  # noqa: UP045
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Delete the outputs of shared stages.")] = False,
) -> None:
    """Free disk space, and say how many bytes. Records, failures and reports stay."""
    from bench.commands.clean import free

    typer.echo(free(out, artifacts))
