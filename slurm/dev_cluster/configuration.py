"""The files that the daemons of a throw-away cluster read."""

from __future__ import annotations

import json
import os
import pwd
import random
import shlex
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.files import write_json
from slurm.dev_cluster.templates import ACCOUNTING, SACCT, SLURM

HOST = "127.0.0.1"
MEMORY_MB_PER_CPU = 2000
PORTS = range(20000, 32768)  # below those that the kernel hands out to outgoing connections


@dataclass(frozen=True)
class Layout:
    """What a cluster consists of. Each node has ``cpus`` CPUs and ``gpus`` GPUs, whatever this machine has.

    ``ports``: of slurmctld, slurmdbd, mariadbd and then one for each node's slurmd.
    """

    nodes: int
    cpus: int
    gpus: int
    accounting: bool
    ports: tuple[int, ...]

    @property
    def names(self) -> list[str]:
        """The nodes' names: n1, n2, ..."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    @property
    def daemons(self) -> list[str]:
        """The daemons' names, in the order of starting."""
        return [*(["mariadbd", "slurmdbd"] if self.accounting else []), "slurmctld", *map(daemon_of, self.names)]

    @property
    def database_port(self) -> int:
        """Where mariadbd listens."""
        return self.ports[2]


def daemon_of(node: str) -> str:
    """The name of the daemon of a node."""
    return f"slurmd-{node}"


def user_name() -> str:
    """The user that this process runs as, whatever the environment says."""
    return pwd.getpwuid(os.getuid()).pw_name


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports on which nobody listens at this moment."""
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return tuple(found)


def load(folder: Path) -> Layout | None:
    """Return the layout of the cluster in ``folder``, or None if there never was one."""
    try:
        content = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Layout(**{**content, "ports": tuple(content["ports"])})


def write(folder: Path, layout: Layout) -> None:
    """Write every file that the daemons of ``layout`` and its users read, and make the folders they write in."""
    for name in ("run", "log", "state", "gpus", *(f"spool/{node}" for node in layout.names)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_json(folder / "cluster.json", asdict(layout))
    (folder / "slurm.conf").write_text(_slurm(folder, layout))
    (folder / "gres.conf").write_text(_gpus(folder, layout))
    shim, variables = folder / "bin" / "sacct", [f"export SLURM_CONF={shlex.quote(f'{folder}/slurm.conf')}"]
    shim.unlink(missing_ok=True)
    if layout.accounting:
        private = folder / "slurmdbd.conf"
        private.touch(mode=0o600)  # slurmdbd insists
        private.write_text(_accounting(folder, layout))
    else:
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(SACCT)
        shim.chmod(0o755)
        variables.append(f"export PATH={shlex.quote(str(shim.parent))}:$PATH")
    (folder / "env.sh").write_text("\n".join(variables) + "\n")


def _slurm(folder: Path, layout: Layout) -> str:
    host = socket.gethostname().partition(".")[0]
    gpus = f" Gres=gpu:a100:{layout.gpus}" if layout.gpus else ""
    size = f"CPUs={layout.cpus} RealMemory={layout.cpus * MEMORY_MB_PER_CPU}{gpus} State=UNKNOWN"
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr={HOST} Port={port} {size}"
        for name, port in zip(layout.names, layout.ports[3:], strict=True)
    ]
    storage = (
        f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost={HOST}\n"
        f"AccountingStoragePort={layout.ports[1]}\nAccountingStorageTRES=gres/gpu"
        if layout.accounting
        else "AccountingStorageType=accounting_storage/none"
    )
    return SLURM.format(
        folder=folder, host=host, address=HOST, port=layout.ports[0], user=user_name(),
        memory=MEMORY_MB_PER_CPU // 2, storage=storage, nodes="\n".join(nodes),
    )  # fmt: skip


def _gpus(folder: Path, layout: Layout) -> str:
    """Devices that are links to ``/dev/null``: Slurm sets ``CUDA_VISIBLE_DEVICES`` only for real device files."""
    lines = ["AutoDetect=off"]
    for name in layout.names if layout.gpus else []:
        for number in range(layout.gpus):
            link = folder / "gpus" / f"{name}-{number}"
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        lines.append(f"NodeName={name} Name=gpu Type=a100 File={folder}/gpus/{name}-[0-{layout.gpus - 1}]")
    return "\n".join(lines) + "\n"


def _accounting(folder: Path, layout: Layout) -> str:
    return ACCOUNTING.format(
        folder=folder, address=HOST, port=layout.ports[1], database=layout.database_port, user=user_name()
    )
