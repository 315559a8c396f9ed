"""Starting and stopping a throw-away cluster, and taking one of its nodes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from bench.errors import RequestError, nearest
from slurm.dev_cluster import configuration, database, programs
from slurm.dev_cluster.configuration import Layout, daemon_of
from slurm.dev_cluster.processes import Daemon, Process, end, holds, running, wait_until, with_descendants

READY_SECONDS = 30.0
ANSWER_SECONDS = 10.0  # for one question to a daemon
ATTEMPTS = 3  # another program may take a port between our choosing it and our daemon's binding it
PORT_TAKEN = "already in use"
LONGEST_FOLDER = 70  # the kernel takes at most 107 characters for the name of a socket, and Slurm's are below DIR
TAKES_JOBS = ("idle", "mixed", "allocated", "completing")


class PortTakenError(RequestError):
    """Another program took a port that was free."""


def environment(folder: Path | str) -> dict[str, str]:
    """Return what ``. FOLDER/env.sh`` exports: ``SLURM_CONF``, and ``PATH`` with the stand-in for sacct if need be.

    Raises
    ------
    RequestError: if there is no cluster in ``folder``.
    """
    return DevCluster(folder).environment()


class DevCluster:
    """The cluster in ``folder``, whether it is running or not, and whichever Python started it."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        self._daemons: dict[str, Daemon] = {}

    def start(self, nodes: int = 2, cpus: int = 4, gpus: int = 4, accounting: bool = False) -> None:
        """Start the daemons, and return when all nodes are idle: after a second, or some seven with ``accounting``.

        In the folder of a cluster that was stopped, its numbering of jobs and its accounts go on.

        Parameters
        ----------
        nodes: slurmd daemons, n1, n2, ..., all on this machine.
        cpus, gpus: of each node, whatever this machine has; 2000 MB of memory come with a CPU.
        accounting: run slurmdbd and MariaDB, so that sacct is the real one.

        Raises
        ------
        RequestError: if a number makes no sense, the folder is unfit or in use, Slurm is not installed, or a daemon
            does not start; nothing runs then.
        """
        for name, number, least in (("nodes", nodes, 1), ("cpus", cpus, 1), ("gpus", gpus, 0)):
            if number < least:
                raise RequestError(f"{name}: expected {least} or more, got {number}")
        self._check_folder()
        programs.find(accounting)
        for attempt in range(ATTEMPTS):
            layout = Layout(nodes, cpus, gpus, accounting, configuration.free_ports(3 + nodes))
            configuration.write(self.folder, layout)
            try:
                return self._start(layout)
            except BaseException as error:
                self._end(layout)
                if not isinstance(error, PortTakenError) or attempt + 1 == ATTEMPTS:
                    raise

    def stop(self) -> None:
        """Cancel the jobs and end the daemons, killing what takes too long. Nothing happens if nothing runs.

        Raises
        ------
        RequestError: if there is no cluster in the folder.
        """
        layout = self._layout()
        if self._daemon("slurmctld").process():
            self.cancel_jobs()
        self._end(layout)

    def cancel_jobs(self) -> None:
        """Cancel all jobs, and return when nothing of them runs, or after ten seconds."""
        self._ask("scancel", f"--user={configuration.user_name()}")
        names = self._layout().names
        wait_until(lambda: not any(self._steps(node) for node in names), ANSWER_SECONDS)

    def environment(self) -> dict[str, str]:
        """See :func:`environment`."""
        path, ours = os.environ.get("PATH", os.defpath), self.folder / "bin"
        if not self._layout().accounting:
            path = f"{ours}{os.pathsep}{path}"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def daemons(self) -> dict[str, int | None]:
        """Return the PID of each daemon, or None where it does not run."""
        found = {name: self._daemon(name).process() for name in self._layout().daemons}
        return {name: process.pid if process else None for name, process in found.items()}

    def nodes(self) -> dict[str, str]:
        """Return the state of each node in sinfo's words, such as ``idle``, or ``unknown`` if nobody answers."""
        answer = self._ask("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %T") or ""
        states = dict(line.split(maxsplit=1) for line in answer.splitlines())
        return {name: states.get(name, "unknown").strip() for name in self._layout().names}

    def kill_node(self, name: str) -> None:
        """End a node at once, with all that runs on it, as when a machine loses its power.

        slurmctld is not told: it takes the node for dead, and queues its jobs again, after 20 to 30 s of silence.
        """
        self._node(name).stop(signal.SIGKILL)
        end(with_descendants(self._steps(name)), signal.SIGKILL)

    def start_node(self, name: str) -> None:
        """Start a node again, and return when it takes jobs. Nothing happens if it runs.

        What was lost with it is queued again at once, if slurmctld has not done so before.

        Raises
        ------
        RequestError: if it does not start.
        """
        daemon, layout = self._node(name), self._layout()
        if daemon.process():
            return
        # Else slurmctld could wait half a minute for jobs that began shortly before the node was lost.
        self._ask("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=lost")
        daemon.start(programs.commands(layout, self.folder)[daemon.name], self._variables())
        self._wait(daemon, layout)

    def _layout(self) -> Layout:
        if layout := configuration.load(self.folder):
            return layout
        raise RequestError(f"DIR: expected the folder of a cluster, got {self.folder}, which holds none")

    def _check_folder(self) -> None:
        text = str(self.folder)
        if not re.fullmatch(r"[\w./+@~-]+", text):
            raise RequestError(f"DIR: expected letters, digits and ./+@~-_ (Slurm's files take no more), got {text!r}")
        if len(text) > LONGEST_FOLDER:
            raise RequestError(f"DIR: expected {LONGEST_FOLDER} characters at most, got {len(text)}: {text}")
        if configuration.load(self.folder):
            if any(self.daemons().values()):
                raise RequestError(f"DIR: a cluster runs in {text}; end it: python -m slurm.dev_cluster stop {text}")
        elif self.folder.exists() and not (self.folder.is_dir() and not any(self.folder.iterdir())):
            raise RequestError(f"DIR: expected a new or empty folder, or that of a cluster, got {text}")

    def _daemon(self, name: str) -> Daemon:
        return self._daemons.setdefault(name, Daemon(name, self.folder))

    def _node(self, name: str) -> Daemon:
        if name not in (names := self._layout().names):
            raise RequestError(f"node: {name!r} is not known; {nearest(name, names)}")
        return self._daemon(daemon_of(name))

    def _variables(self) -> dict[str, str]:
        """The environment of the daemons and of questions to them: nothing of a job that we may be in ourselves."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        ours = self.environment()
        return {**outside, **ours, "PATH": os.pathsep.join([ours["PATH"], programs.SYSTEM])}

    def _ask(self, *command: str) -> str | None:
        """Return what a program of Slurm answers, or None if it fails or takes too long."""
        try:
            return subprocess.run(
                command, env=self._variables(), capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True
            ).stdout
        except subprocess.SubprocessError:
            return None

    def _start(self, layout: Layout) -> None:
        commands = programs.commands(layout, self.folder)
        if layout.accounting:
            database.prepare(commands["mariadbd"][0], self.folder)
        nodes = list(map(daemon_of, layout.names))
        for name, command in commands.items():
            self._daemon(name).start(command, self._variables())
            if name not in nodes:
                self._wait(self._daemon(name), layout)
        for name in nodes:  # which come up together
            self._wait(self._daemon(name), layout)

    def _wait(self, daemon: Daemon, layout: Layout) -> None:
        """Return when ``daemon`` is ready."""
        answered = wait_until(lambda: not daemon.process() or self._is_ready(daemon.name, layout), READY_SECONDS)
        if answered and daemon.process():
            return
        printed = daemon.printed()
        if PORT_TAKEN in printed:
            raise PortTakenError(f"{daemon.name}: another program has just taken its port; try again")
        what = "ended" if answered else f"not ready after {READY_SECONDS:.0f} s"
        words = " | ".join(printed.splitlines()[-2:]) or "none"
        raise RequestError(f"{daemon.name}: {what}; its last words: {words}; more in {self.folder}/log")

    def _is_ready(self, name: str, layout: Layout) -> bool:
        if name == "mariadbd":
            return "ready for connections" in self._daemon(name).printed()
        if name == "slurmdbd":
            return self._ask("sacctmgr", "--noheader", "list", "cluster") is not None
        if name == "slurmctld":
            return self._ask("scontrol", "ping") is not None and (not layout.accounting or self._is_registered())
        return self.nodes()[name.partition("-")[2]] in TAKES_JOBS

    def _is_registered(self) -> bool:
        """Whether slurmdbd knows where slurmctld is, without which it learns of no job."""
        known = self._ask("sacctmgr", "--noheader", "--parsable2", "list", "cluster", "format=controlhost,controlport")
        return bool(re.search(r"\|[1-9]", known or ""))

    def _steps(self, node: str) -> list[Process]:
        """The processes that look after a node's jobs: each has the node's log open."""
        daemon, log = self._daemon(daemon_of(node)).process(), self.folder / "log" / f"{daemon_of(node)}.log"
        names = ("slurmstepd", "slurmd")
        return [one for one in running() if one.name in names and one != daemon and holds(one, log)]

    def _end(self, layout: Layout) -> None:
        """End all daemons, and what is left of jobs."""
        for name in reversed(layout.daemons):
            self._daemon(name).stop()
        for node in layout.names:
            end(with_descendants(self._steps(node)), signal.SIGKILL)
