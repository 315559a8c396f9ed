"""The command line. Commands import what they need when they run, so that help and lists answer at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

app = typer.Typer(
    name="bench",
    help="Compare objective-reweighting methods for task-adaptive pretraining: methods x tasks x seeds -> leaderboard.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

slurm_app = typer.Typer(help="Clusters: what --slurm PROFILE would submit.")
app.add_typer(slurm_app, name="slurm")


def _path(text: str) -> Path:
    if not text:  # else it would be the working folder
        raise typer.BadParameter("expected a path, got ''")
    return Path(text)


def _path_option(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, parser=_path, metavar="<path>")


Methods = Annotated[str, typer.Option(help="Names, separated by commas; see `list methods`.")]
Tasks = Annotated[str, typer.Option(help="Suites and tasks, such as moleculenet:bace,demo; see `list tasks`.")]
Seeds = Annotated[str, typer.Option(help="Such as 0-4 or 0,2,5.")]
Protocol = Annotated[str, typer.Option(help="paper, small, smoke, or a YAML file; see `list protocols`.")]
Set = Annotated[Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Change one protocol value.")]  # noqa: UP045 - typer reads it
Out = Annotated[Optional[Path], _path_option(help="Folder of the run; by default runs/PROTOCOL.")]  # noqa: UP045
Mirror = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(envvar="BENCH_MIRROR", help="Folder or address of the data, tried before the public addresses."),
]
Backbone = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Such as gin or resnet18,gin; by default what each method prefers for the task."),
]
Retry = Annotated[Optional[str], typer.Option(metavar="failed", help="Run only the cells that failed before.")]  # noqa: UP045
SlurmSet = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--slurm-set", metavar="KEY=VALUE", help="Change one value of the profile."),
]
Outs = Annotated[list[Path], _path_option("--out", help="Folder of a run; given several times, merged.")]
Focus = Annotated[Optional[str], typer.Option(help="The method compared with every other.")]  # noqa: UP045


@app.command()
def run(
    methods: Methods,
    tasks: Tasks,
    seeds: Seeds = "0-4",
    protocol: Protocol = "small",
    backbone: Backbone = None,
    set_: Set = None,
    out: Out = None,
    mirror: Mirror = None,
    jobs: Annotated[Optional[int], typer.Option(help="Cells at a time; by default one a core, or one a GPU.")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    retry: Retry = None,
    focus: Focus = None,
    slurm: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="PROFILE", help="Submit to a cluster and return: a100, cpu, dev, or a YAML file."),
    ] = None,
    slurm_set: SlurmSet = None,
    pack: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="K|auto", help="With --slurm: cells at a time in one array task."),
    ] = None,
) -> None:
    """Run every cell of methods x tasks x seeds that has no record yet, then print the leaderboard.

    With --slurm, submit them as job arrays and return at once; the same command again submits only what is missing.

    Exit code: 0 done or submitted, 1 some cells failed, 2 the request was wrong, 3 data is not prepared.
    """
    from bench.commands.run import Request, run
    from bench.commands.slurm import Cluster

    cluster = Cluster.parse(slurm, slurm_set or [], pack)
    request = Request.parse(methods, tasks, seeds, protocol, set_ or [], out, mirror, retry, backbone)
    raise typer.Exit(run(request, jobs, device, focus, cluster))


@app.command()
def plan(
    methods: Methods,
    tasks: Tasks,
    seeds: Seeds = "0-4",
    protocol: Protocol = "small",
    backbone: Backbone = None,
    set_: Set = None,
    out: Out = None,
    mirror: Annotated[Optional[str], typer.Option(help="For `run`; a plan reads no data.")] = None,  # noqa: UP045
    retry: Retry = None,
) -> None:
    """Say what `run` would do: cells, records found, shared stages, hours. Starts nothing."""
    from bench.commands.run import Request, show_plan

    show_plan(Request.parse(methods, tasks, seeds, protocol, set_ or [], out, None, retry, backbone))


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
    backbone: Backbone = None,
    set_: Set = None,
) -> None:
    """Describe a method, task, suite or protocol; with --method and --task, every value and where it comes from."""
    from bench.commands.catalogue import describe

    typer.echo(describe(name, method, task, set_ or [], backbone))


@app.command()
def prepare(
    tasks: Tasks,
    methods: Annotated[str, typer.Option(help="For which methods; by default for all.")] = "all",
    protocol: Protocol = "small",
    backbone: Backbone = None,
    set_: Set = None,
    mirror: Mirror = None,
    jobs: Annotated[Optional[int], typer.Option(help="Processes; by default one a core.")] = None,  # noqa: UP045
) -> None:
    """Fetch, verify, convert and cache everything that the tasks need. The only command that uses the network."""
    from bench.commands.prepare import prepare_tasks

    prepare_tasks(tasks, methods, protocol, set_ or [], mirror, jobs, backbone)


@app.command()
def status(out: Annotated[Path, _path_option(help="Folder of a run.")]) -> None:
    """Say how far a run is: done, running with step and rate, queued, failed with reason, and when it will end."""
    from bench.commands.status import status_of

    typer.echo(status_of(out))


@app.command()
def logs(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="METHOD/TASK/SEED, an identity's beginning, or a shared stage.")
    ],
    out: Annotated[Path, _path_option(help="Folder of a run.")],
    lines: Annotated[int, typer.Option(help="How many of the last lines.")] = 50,
) -> None:
    """Print the end of what a cell or a shared stage printed, and why it failed."""
    from bench.commands.logs import logs_of

    typer.echo(logs_of(out, cell, lines))


@app.command()
def cancel(
    out: Annotated[Path, _path_option(help="Folder of a run.")],
    submission: Annotated[Optional[str], typer.Option(metavar="ID", help="One of its submissions alone.")] = None,  # noqa: UP045
) -> None:
    """Take what a run has in Slurm's queue out of it. Cells keep their checkpoints; the same run goes on there."""
    from bench.commands.cancel import cancel

    typer.echo(cancel(out, submission))


@app.command()
def report(
    out: Outs,
    focus: Focus = None,
    to: Annotated[Optional[Path], _path_option(help="Folder to write into; by default that of the run.")] = None,  # noqa: UP045
    html: Annotated[bool, typer.Option("--html", help="Write a page too, which opens without a server.")] = False,
    baseline: Annotated[
        Optional[Path],  # noqa: UP045
        _path_option(help="An older report.json, or its folder: say what changed since."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what is wrong with the records.")] = False,
) -> None:
    """Write leaderboard.md, report.json, tables and pictures from the records there are, and print the leaderboard.

    Exit code: 0 done, 1 --check found problems, 2 the request was wrong.
    """
    from bench.commands.report import check_records, write_report

    if not check:
        typer.echo(write_report(out, focus, to, html, baseline))
        return
    text, sound = check_records(out, focus=focus, to=to, html=html, baseline=baseline)
    typer.echo(text)
    raise typer.Exit(0 if sound else 1)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A method, or a row such as 'cp (resnet18)'.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one; differences are A - B.")],
    out: Outs,
    task: Annotated[Optional[str], typer.Option(help="One task; by default all that both have.")] = None,  # noqa: UP045
) -> None:
    """Print one comparison in full: every seed, effect, interval, tests, and the seeds it would take."""
    from bench.commands.compare import comparison

    typer.echo(comparison(out, first, second, task))


@app.command()
def clean(
    out: Annotated[Optional[Path], _path_option(help="Folder of a run: delete its checkpoints and logs.")] = None,  # noqa: UP045
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Delete the outputs of shared stages.")] = False,
) -> None:
    """Free disk space, and say how many bytes. Records, failures and reports stay."""
    from bench.commands.clean import free

    typer.echo(free(out, artifacts))


@slurm_app.command("show")
def slurm_show(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="a100, cpu, dev, or a YAML file.")],
    slurm_set: SlurmSet = None,
) -> None:
    """Print the sbatch file that a profile comes to. Needs no Slurm."""
    from bench.commands.slurm import show

    typer.echo(show(profile, slurm_set or []))
