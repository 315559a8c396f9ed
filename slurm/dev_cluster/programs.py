"""The programs of Slurm on this machine, the packages that bring them, and the commands that start the daemons."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.errors import RequestError
from slurm.dev_cluster import database
from slurm.dev_cluster.configuration import Layout

# The daemons of Debian's packages are where an ordinary user's PATH does not look.
SYSTEM = os.pathsep.join(["/usr/sbin", "/sbin"])
PACKAGES = "slurmctld slurmd slurm-client munge"
ACCOUNTING_PACKAGES = "slurmdbd mariadb-server-core"


def find(accounting: bool) -> dict[str, str]:
    """Return the path of each program that a cluster needs.

    Raises
    ------
    RequestError: naming what is missing and the packages to install.
    """
    names = ["slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel", "scontrol"]
    names += ["slurmdbd", "mariadbd", "sacct", "sacctmgr"] if accounting else []
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), SYSTEM])
    found = {name: where for name in names if (where := shutil.which(name, path=path))}
    missing = [name for name in names if name not in found]
    if accounting:
        missing += [] if database.tables() else [database.TABLES[0]]
    if missing:
        packages = f"{PACKAGES} {ACCOUNTING_PACKAGES}" if accounting else PACKAGES
        raise RequestError(
            f"Slurm is not installed here (no {', '.join(missing)}); on Debian and Ubuntu: "
            f"apt-get install --no-install-recommends {packages}"
        )
    return found


def commands(layout: Layout, folder: Path) -> dict[str, list[str]]:
    """Return the command of each daemon of ``layout``, in the order of starting.

    Raises
    ------
    RequestError: see :func:`find`.
    """
    found = find(layout.accounting)
    special = {"slurmctld": [found["slurmctld"], "-D"]}
    if layout.accounting:
        special["mariadbd"] = database.command(found["mariadbd"], folder, layout.database_port)
        special["slurmdbd"] = [found["slurmdbd"], "-D"]
    nodes = {f"slurmd-{name}": [found["slurmd"], "-D", "-N", name] for name in layout.names}
    return {name: {**special, **nodes}[name] for name in layout.daemons}
