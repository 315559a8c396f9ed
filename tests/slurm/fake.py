"""A Slurm of shell scripts: it accepts, refuses and lists what files say, and keeps what it was given."""

from __future__ import annotations

from pathlib import Path

import pytest

PROGRAMS = {
    "sbatch": """
env > "$D/environment"
if [ "$1" = --test-only ]; then
    cat >> "$D/tested"
    if [ -f "$D/refused" ]; then cat "$D/refused" >&2; exit 1; fi
    exit 0
fi
if [ -f "$D/full" ] && [ "$(ls "$D"/*.sh | wc -l)" -ge "$(cat "$D/full")" ]; then
    echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy" >&2; exit 1
fi
number=$((100 + $(ls "$D" | grep -c "[.]sh$")))
cp "$1" "$D/$number.sh"
echo "Submitted batch job $number"
""",
    "squeue": 'echo "$@" >> "$D/asked"; [ -f "$D/queue" ] || { echo "squeue: down" >&2; exit 1; }; cat "$D/queue"',
    "scontrol": '[ -f "$D/config" ] || { echo "scontrol: error: Unable to contact" >&2; exit 1; }; cat "$D/config"',
    "scancel": 'echo "$@" >> "$D/cancelled"',
    "srun": "exit 1",
}


class FakeSlurm:
    """Its programs come first on PATH. Arrays get the ids 100, 101, ...; the queue is empty until it is written."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "fake-slurm"
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name, text in PROGRAMS.items():
            path = programs / name
            path.write_text(f"#!/bin/sh\nD='{self.folder}'\n{text.strip()}\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        self.write("config", "ClusterName = fake\nMaxArraySize            = 1001\n")
        self.write("queue", "")

    def write(self, name: str, text: str) -> None:
        """Set what a program answers: "config", "queue", "refused" (by --test-only), "full" (after so many arrays)."""
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        """What a program noted: "tested", "environment", "asked", "cancelled"; "" if it was never asked."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    @property
    def scripts(self) -> dict[str, str]:
        """The scripts that were submitted, by job id."""
        return {path.stem: path.read_text() for path in sorted(self.folder.glob("*.sh"))}


def option(script: str, name: str) -> str | None:
    """The value of an #SBATCH option; "" if it has none, None if it is not there."""
    for line in script.splitlines():
        if line.startswith(f"#SBATCH --{name}=") or line == f"#SBATCH --{name}":
            return line.partition("=")[2].strip("'")
    return None
