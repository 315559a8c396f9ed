"""Where a result comes from: code, packages, device. Kept in the record, never in its identity."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("bench-reweighting", "torch", "numpy", "scikit-learn", "rdkit")


@cache
def code() -> dict[str, Any]:
    """Return commit, dirty flag and package versions; None where the code is no git checkout."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = _git("rev-parse", "HEAD")
    dirty = None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no"))
    return {"commit": commit, "dirty": dirty, "packages": found, "python": platform.python_version()}


def device(name: str) -> str:
    """Return the device in words."""
    if name.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU"


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # installed elsewhere: the repository around it is not ours
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
