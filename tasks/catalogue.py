"""Names to tasks: suites are YAML files here, and entry points of other distributions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bench.errors import RequestError, first_fault, nearest
from bench.files import parse_yaml
from tasks.info import SuiteInfo, TaskInfo

GROUP = "bench.suites"

Model = TypeVar("Model", bound=BaseModel)


@cache
def suites() -> dict[str, SuiteInfo]:
    """Return every suite by name: built-in ones, then those of the entry-point group ``bench.suites``.

    An entry point names a :class:`SuiteInfo`, or the path of a YAML file laid out like the built-in ones.

    Raises
    ------
    RequestError: naming file, entry and field, if one is not valid or a name is taken.
    """
    found: dict[str, SuiteInfo] = {}
    for path in sorted((Path(__file__).parent / "suites").glob("*.yaml")):
        _add(found, read_suite(path), str(path))
    for point in entry_points(group=GROUP):
        origin = f"entry point {point.name!r} of {GROUP}"
        try:
            entry = point.load()
        except Exception as error:  # other people's code may raise anything
            raise RequestError(f"{origin}: could not be loaded: {error}") from error
        if isinstance(entry, (str, Path)):
            entry = read_suite(Path(entry))
        if not isinstance(entry, SuiteInfo):
            raise RequestError(f"{origin}: expected a SuiteInfo or the path of a YAML file, got {type(entry).__name__}")
        _add(found, entry, origin)
    return found


def read_suite(path: Path) -> SuiteInfo:
    """Read one suite from a YAML file: ``name``, ``title``, ``corpus`` and ``tasks``, a mapping of name to entry.

    Raises
    ------
    RequestError: naming file, entry and field.
    """
    expected = f"{path}: expected a YAML file of a suite"
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), expected, trusted=True)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{expected}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), dict):
        raise RequestError(
            f"{path}: expected a mapping with name, title, corpus and tasks (a mapping of name to entry)"
        )
    tasks = []
    for name, entry in content["tasks"].items():
        if not isinstance(entry, dict):
            raise RequestError(f"{path}: task {name!r}: expected a mapping of fields, got {entry!r}")
        tasks.append(_valid(TaskInfo, {"suite": content.get("name"), "name": name} | entry, f"{path}: task {name!r}"))
    return _valid(SuiteInfo, content | {"tasks": tasks}, str(path))


def get(task_id: str) -> TaskInfo:
    """Return the task called ``suite:name``; the bare name will do if only one suite has it.

    Raises
    ------
    RequestError: naming the nearest known names.
    """
    suite, colon, name = task_id.partition(":")
    if colon:
        if suite not in suites():
            raise RequestError(f"suite: {suite!r} is not known; {nearest(suite, suites())}")
        tasks = {task.name: task for task in suites()[suite].tasks}
        if name not in tasks:
            raise RequestError(f"task: {task_id!r} is not known; suite {suite}: {nearest(name, tasks)}")
        return tasks[name]
    found = [task for each in suites().values() for task in each.tasks if task.name == task_id]
    if len(found) > 1:
        raise RequestError(f"task: {task_id!r} is in several suites; say {' or '.join(task.id for task in found)}")
    if not found:
        if task_id in suites():
            first = suites()[task_id].tasks[0].id
            raise RequestError(f"task: {task_id!r} is a suite; expected one of its tasks, such as {first}")
        known = {task.name for each in suites().values() for task in each.tasks} | set(suites())
        raise RequestError(f"task: {task_id!r} is not known; {nearest(task_id, known)}")
    return found[0]


def expand(request: str) -> list[TaskInfo]:
    """Return the tasks of a request such as ``moleculenet:bace,demo``: suites, ``suite:name`` or bare names.

    The order is kept and duplicates are dropped. A name that is both a suite's and a task's means the suite.

    Raises
    ------
    RequestError: if a name is not known or nothing is named.
    """
    chosen: dict[str, TaskInfo] = {}
    for item in filter(None, (item.strip() for item in request.split(","))):
        for task in suites()[item].tasks if item in suites() else (get(item),):
            chosen[task.id] = task
    if not chosen:
        raise RequestError(
            f"--tasks: expected suites or tasks separated by commas, got {request!r}; {nearest('', suites())}"
        )
    return list(chosen.values())


def _add(found: dict[str, SuiteInfo], suite: SuiteInfo, origin: str) -> None:
    if suite.name in found:
        raise RequestError(f"{origin}: expected a new suite name, got {suite.name!r}, which is taken")
    found[suite.name] = suite


def _valid(model: type[Model], content: dict[str, Any], where: str) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        fault = first_fault(error)
        field = ".".join(str(part) for part in fault.places)
        if fault.unknown:
            *inside, name = fault.places
            known = nearest(str(name), _fields(model, inside))
            raise RequestError(f"{where}: field {field!r} is not known; {known}") from error
        raise RequestError(f"{where}: {f'field {field!r}: ' if field else ''}{fault.message}{fault.got}") from error


def _fields(model: type[BaseModel], places: Sequence[int | str]) -> list[str]:
    """Return the fields of the model that stands at ``places`` inside ``model``."""
    for place in (place for place in places if place in model.model_fields):
        annotation = model.model_fields[str(place)].annotation
        inside = (annotation, *get_args(annotation))
        model = next(one for one in inside if isinstance(one, type) and issubclass(one, BaseModel))
    return list(model.model_fields)
