"""MariaDB for slurmdbd: one folder, one port on loopback, no accounts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.errors import RequestError
from slurm.dev_cluster.configuration import HOST, user_name

TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")
# Small, and in no hurry to have anything on disk: it is thrown away.
SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--skip-log-bin")
PREPARE_SECONDS = 60


def tables() -> list[Path] | None:
    """Return the files that make the system's tables, or None where the package is missing."""
    for folder in (Path("/usr/share/mysql"), Path("/usr/share/mariadb")):
        files = [folder / name for name in TABLES]
        if all(file.is_file() for file in files):
            return files
    return None


def command(program: str, folder: Path, port: int) -> list[str]:
    """Return the command that serves the database of ``folder``.

    ``--skip-grant-tables``: whoever reaches the port may do anything, as with the cluster itself.
    """
    return [
        *(program, "--no-defaults", f"--user={user_name()}", f"--datadir={folder}/database"),
        *(f"--socket={folder}/run/database.socket", f"--pid-file={folder}/run/mariadbd.own"),
        *(f"--bind-address={HOST}", f"--port={port}", "--skip-grant-tables", "--skip-name-resolve"),
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900", "--performance-schema=0"),
        *SMALL,
    ]


def prepare(program: str, folder: Path) -> None:
    """Make an empty database, unless there is one.

    Raises
    ------
    RequestError: if MariaDB refuses.
    """
    if (folder / "database").is_dir():
        return
    made = folder / f"database-{len(list(folder.glob('database-*')))}"  # an earlier attempt may have left its own
    made.mkdir()
    # The script of the full package needs programs that the small one lacks; what it does is feed these files.
    before = "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
    statements = before + "".join(file.read_text(encoding="utf-8") for file in tables() or [])
    start = [program, "--no-defaults", f"--user={user_name()}", "--bootstrap", f"--datadir={made}", *SMALL]
    output = folder / "log" / "mariadbd-prepare.out"
    with output.open("w") as file:
        done = subprocess.run(
            start, input=statements.encode(), stdout=file, stderr=subprocess.STDOUT, timeout=PREPARE_SECONDS
        )
    if done.returncode:
        raise RequestError(f"mariadbd: could not make a database; see {output}")
    made.rename(folder / "database")
