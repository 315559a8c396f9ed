"""Cluster profiles: what a site wants to be asked for, as data."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator, model_validator

from bench.errors import RequestError, first_fault, nearest
from bench.files import parse_yaml, read_yaml

FOLDER = Path(__file__).parent / "profiles"
# Slurm may send the signal up to 60 s early, and a job needs some time to start before it can take one.
EARLY_SECONDS, START_SECONDS = 60, 60
# What `extra` may not say, since a key of the profile says it, or the submission itself does.
KEYS_OF_THEIR_OWN = {
    "mem": "memory_gb", "time": "time_minutes", "cpus-per-task": "cpus", "gpus-per-node": "gpus",
    **{key: key for key in ("partition", "account", "qos", "constraint", "wckey")},
    "signal": "signal_seconds",
}  # fmt: skip
KEYS_OF_THE_SUBMISSION = (
    "array", "dependency", "kill-on-invalid-dep", "requeue", "no-requeue", "job-name", "output", "error",
    "open-mode", "nodes", "ntasks", "ntasks-per-node", "chdir",
)  # fmt: skip
Text = Annotated[str, Field(min_length=1)]


class Profile(BaseModel):
    """What one array task asks for, and how many there may be; see ``profiles/a100.yaml`` for every key."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    about: str = ""
    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    gpu_memory_gb: Annotated[float, Field(gt=0)] | None = None  # of one GPU
    cpus: Annotated[int, Field(ge=1)]
    memory_gb: Annotated[float, Field(gt=0)]  # host memory
    time_minutes: Annotated[int, Field(ge=1)]
    signal_seconds: Annotated[int, Field(ge=1)] = 120  # before the time limit
    workers: Annotated[int, Field(ge=1)]  # array tasks of one group at a time
    pack: Literal["auto"] | int = "auto"  # cells at a time in one array task
    max_array_size: Annotated[int, Field(ge=1)] | None = None  # None: ask Slurm
    wckey: str = ""  # submitit would send its own name, which many sites refuse
    setup: tuple[str, ...] = ()
    srun_args: tuple[str, ...] = ()
    extra: dict[str, StrictBool | str] = {}
    local_disks: tuple[str, ...] = ("/tmp", "/var/tmp", "/dev/shm")

    @property
    def least_minutes(self) -> int:
        """The shortest time limit in which a job can start, be asked to stop, and save its state."""
        return -(-(self.signal_seconds + EARLY_SECONDS + START_SECONDS) // 60)

    @field_validator("pack", mode="before")
    @classmethod
    def _number_or_auto(cls, pack: Any) -> Any:
        if pack != "auto" and (not isinstance(pack, int) or isinstance(pack, bool) or pack < 1):
            raise ValueError(f"expected a number of cells, or auto, got {pack!r}")
        return pack

    @field_validator("extra")
    @classmethod
    def _extra_keys(cls, extra: dict[str, bool | str]) -> dict[str, bool | str]:
        for key in extra:
            name = key.replace("_", "-").lstrip("-")
            if name != key.replace("_", "-") or not name:
                raise ValueError(f"expected sbatch options without dashes before them, got {key!r}")
            if name in KEYS_OF_THEIR_OWN:
                raise ValueError(f"{key!r} is the profile's {KEYS_OF_THEIR_OWN[name]}, set that")
            if name in KEYS_OF_THE_SUBMISSION:
                raise ValueError(f"{key!r} is set by each submission")
        return extra

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        if self.time_minutes < self.least_minutes:
            needed = self.signal_seconds + EARLY_SECONDS + START_SECONDS
            raise ValueError(
                f"time_minutes: expected at least {self.least_minutes}, got {self.time_minutes}: the signal to save "
                f"comes signal_seconds = {self.signal_seconds} before the limit, Slurm may send it {EARLY_SECONDS} s "
                f"early, and a job needs {START_SECONDS} s to start ({needed} s in all)"
            )
        if isinstance(self.pack, int) and self.pack > self.cpus:
            raise ValueError(f"pack: expected at most one cell a CPU (cpus = {self.cpus}), got {self.pack}")
        return self


def names() -> list[str]:
    """Return the names of the built-in profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, assignments: Sequence[str] = (), pack: str | None = None) -> Profile:
    """Return the profile ``name``, a built-in one or the path of a YAML file, with ``KEY=VALUE`` on top.

    ``extra.KEY=VALUE`` sets one sbatch option. ``pack`` is the value of --pack.

    Raises
    ------
    RequestError: for an unknown name or key, a file that is no profile, or a value that does not fit.
    """
    content, origins = read(name), dict[str, str]()
    for key, value in assigned(assignments).items():
        section, dot, option = key.partition(".")
        origins[section] = "--slurm-set"
        if not dot:
            content[key] = value
        elif isinstance(content.setdefault(section, {}), dict):
            content[section][option] = value
    if pack is not None:
        content["pack"], origins["pack"] = int(pack) if pack.isdecimal() else pack, "--pack"
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        raise RequestError(_explain(f"profile {name}", origins, error)) from error


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the keys and values of ``KEY=VALUE`` assignments; raises RequestError if one is none."""
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RequestError(f"--slurm-set: expected KEY=VALUE, got {assignment!r}")
        if key not in Profile.model_fields and not key.startswith("extra."):
            raise RequestError(f"--slurm-set: {key!r} is not known; {nearest(key, Profile.model_fields)}")
        values[key] = parse_yaml(text, f"--slurm-set: expected a YAML value for {key}, got {reprlib.repr(text)}")
    return values


def read(name: str) -> dict[str, Any]:
    """Return what the file of a profile says; raises as :func:`load`."""
    built_in = not name.endswith((".yaml", ".yml"))
    path = FOLDER / f"{name}.yaml" if built_in else Path(name)
    if name not in names() if built_in else not path.is_file():
        raise RequestError(
            f"--slurm: {name!r} is not known; {nearest(name, names())}; or the path of a .yaml file that exists"
        )
    return read_yaml(path, "profile")


def _explain(profile: str, origins: Mapping[str, str], error: ValidationError) -> str:
    """Return one line on the first fault: what set the value, its key, what was expected, what came."""
    places, unknown, message, got = first_fault(error)
    if places:
        key = ".".join(str(part) for part in places[: 2 if places[0] == "extra" else 1])
    else:  # the message of a check of several keys begins with one
        key, _, message = message.partition(": ")
    where = origins.get(key.partition(".")[0], profile)
    if unknown:
        return f"{where}: {key!r} is not known; {nearest(key, Profile.model_fields)}"
    return f"{where}: {message}{got}" if where == f"--{key}" else f"{where}: {key}: {message}{got}"
