"""``python -m slurm.dev_cluster``: see ``--help``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from bench.errors import BenchError
from slurm.dev_cluster.cluster import DevCluster


def main() -> int:
    """Run the command line; a user's mistake ends as one line and an exit code."""
    given = _parser().parse_args()
    cluster = DevCluster(given.DIR)
    try:
        if given.command == "start":
            cluster.start(given.nodes, given.cpus, given.gpus, given.accounting)
            print(f"ready: . {shlex.quote(f'{cluster.folder}/env.sh')}")
        elif given.command == "stop":
            cluster.stop()
        else:
            return _status(cluster)
    except (BenchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, BenchError) else 2
    return 0


def _status(cluster: DevCluster) -> int:
    """Print the daemons and nodes; return 1 if a daemon does not run."""
    daemons = cluster.daemons()
    states = cluster.nodes() if daemons["slurmctld"] else {}
    for name, pid in daemons.items():
        state = states.get(name.partition("-")[2], "")
        print(f"{name:12} {f'running as {pid}' if pid else 'not running'} {state}".rstrip())
    return 0 if all(daemons.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m slurm.dev_cluster", description="A throw-away Slurm cluster on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start a cluster, and wait until its nodes are idle")
    stop = commands.add_parser("stop", help="cancel its jobs and end its daemons")
    status = commands.add_parser("status", help="say which daemons run; exit code 1 unless all do")
    for command in (start, stop, status):
        command.add_argument("DIR", type=Path, help="the folder of everything that the cluster writes")
    start.add_argument("--nodes", type=int, default=2, help="virtual nodes (2)")
    start.add_argument("--cpus", type=int, default=4, help="CPUs that each node pretends to have (4)")
    start.add_argument("--gpus", type=int, default=4, help="GPUs that each node pretends to have (4)")
    start.add_argument("--accounting", action="store_true", help="with a real sacct, which takes MariaDB and slurmdbd")
    return parser


if __name__ == "__main__":
    sys.exit(main())
