"""What there is: lists and descriptions, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from bench import protocol_files as protocols
from bench.chain import backbones_of
from bench.dotted import flat
from bench.errors import RequestError, nearest
from bench.plan import pairs, parse_backbones
from methods import METHODS
from methods.settings import COMPLETE
from tasks import BACKBONES, catalogue

KINDS = ("methods", "tasks", "suites", "protocols")


def listing(what: str) -> str:
    """Return one of the lists; raises RequestError for any other word."""
    if what not in KINDS:
        raise RequestError(f"list: {what!r} is not known; {nearest(what, KINDS)}")
    if what == "methods":
        rows = [[m.name, m.title, m.group, m.cost, m.paper] for m in map(METHODS.get, METHODS.names())]
        return tabulate(rows, headers=["method", "title", "group", "cost (fine-tuning = 1)", "paper"])
    if what == "protocols":
        loaded = [protocols.load(name) for name in protocols.names()]
        return tabulate([[p.name, p.about] for p in loaded], headers=["protocol", "about"])
    suites = catalogue.suites().values()
    if what == "suites":
        return tabulate([[s.name, len(s.tasks), s.title] for s in suites], headers=["suite", "tasks", "title"])
    tasks = [[t.id, t.title, t.kind, t.metric, t.outputs, t.rows] for s in suites for t in s.tasks]
    return tabulate(tasks, headers=["task", "title", "kind", "metric", "targets", "rows"])


def describe(
    words: Sequence[str], method: str | None, task: str | None, assignments: Sequence[str], backbone: str | None = None
) -> str:
    """Return a description of the thing called ``words[-1]``; a kind before it, such as "protocol", is allowed.

    Raises
    ------
    RequestError: if nothing has that name.
    """
    kind, name = _find(words)
    if kind == "protocol":
        return _protocol(name, method, task, assignments, backbone)
    if method is not None or task is not None or backbone is not None or assignments:
        raise RequestError(f"show: --method, --task, --backbone and --set go with a protocol, got the {kind} {name!r}")
    return {"method": _method, "suite": _suite, "task": _task}[kind](name)


def _find(words: Sequence[str]) -> tuple[str, str]:
    """Return the kind and the name of what is meant; raises RequestError if there is no such kind, or no such name."""
    kinds = ("method", "task", "suite", "protocol")
    if len(words) > 2 or (len(words) == 2 and words[0] not in kinds):
        raise RequestError(f"show: expected [{'|'.join(kinds)}] NAME, got {' '.join(words)!r}")
    if words[0] in kinds and len(words) == 1:
        raise RequestError(f"show: expected {words[0]} NAME, got no name; `list` knows them")
    name, kind = words[-1], words[0] if len(words) == 2 else None
    if name.endswith((".yaml", ".yml")):
        kind = "protocol"
    homes = {
        "method": METHODS.names(),
        "suite": list(catalogue.suites()),
        "protocol": protocols.names(),
        "task": [t.id for s in catalogue.suites().values() for t in s.tasks],
    }
    kind = kind or next((k for k, names in homes.items() if name in names), None)
    if kind:
        return kind, name
    try:
        return "task", catalogue.get(name).id
    except RequestError as error:
        if any(name == task_id.partition(":")[2] for task_id in homes["task"]):  # in several suites
            raise
        known = [n for names in homes.values() for n in names]
        raise RequestError(f"show: {name!r} is not known; {nearest(name, known)}") from error


def _method(name: str) -> str:
    entry = METHODS.get(name)
    backbones = backbones_of(entry)
    modalities = [BACKBONES.get(b).modality for b in backbones]
    ours = [m for m in modalities if m not in entry.published]
    facts = {
        "title": entry.title, "paper": entry.paper, "backbones": ", ".join(backbones), "cost": entry.cost,
        "published for": ", ".join(entry.published) or "none of these modalities",
        "ours": ", ".join(ours) or "-", "protocol section": entry.section or "-",
    }  # fmt: skip
    return _facts(entry.name, facts)


def _suite(name: str) -> str:
    if name not in catalogue.suites():
        raise RequestError(f"suite: {name!r} is not known; {nearest(name, catalogue.suites())}")
    suite = catalogue.suites()[name]
    return f"{suite.name}: {suite.title}\n\n" + "\n".join(f"  {t.id}: {t.title}" for t in suite.tasks)


def _task(name: str) -> str:
    info = catalogue.get(name)
    hidden = {"targets"} | ({"smiles", "duplicates"} if info.inputs == "text" else set())
    shown = {k: v for k, v in flat(info.model_dump(exclude=hidden)).items() if v not in ("", None, ())}
    names = info.text.classes if info.text and info.text.classes else info.targets
    targets = ", ".join(names[:6]) + (f", ... {info.outputs} in all" if info.outputs > 6 else "")
    return _facts(info.id, shown | {"targets": targets})


def _protocol(name: str, method: str | None, task: str | None, assignments: Sequence[str], backbone: str | None) -> str:
    rules = protocols.load(name, assignments)
    if (method is None) != (task is None):
        raise RequestError("show: expected both --method and --task, or neither")
    if method is None or task is None:
        if backbone is not None:
            raise RequestError("show: --backbone goes with --method and --task, got neither")
        lines = [f"{rules.name}: {rules.about}", "", "defaults"]
        lines += [f"  {key} = {value}" for key, value in {**flat(rules.defaults), **rules.assignments}.items()]
        for override in rules.overrides:
            values = {key: rules.assignments.get(key, value) for key, value in override.values.items()}  # --set wins
            lines += [override.describe(), *(f"  {key} = {value}" for key, value in values.items())]
        return "\n".join(lines)
    entry, info = METHODS.get(method), catalogue.get(task)
    wanted = parse_backbones(backbone)
    if len(wanted) > 1:
        raise RequestError(f"--backbone: expected one with show, got {backbone!r}")
    fitting, _ = pairs([method], [info], wanted)
    resolved = rules.resolve(entry, info, fitting[0][2])
    values = resolved.settings.model_dump(mode="json", context=COMPLETE)
    values |= values.pop("others")
    if entry.section:
        values[entry.section] = values.pop("method")
    dotted = flat(values)
    dotted.pop("method", None)  # the section of a method that has none
    modalities = {BACKBONES.get(one).modality for one in BACKBONES.names()}
    unread = modalities - {BACKBONES.get(fitting[0][2]).modality}  # sections of other encoders
    rows = [
        [key, "none" if value is None else value, resolved.origins.get(key, "default of the code")]
        for key, value in sorted(dotted.items())
        if key.partition(".")[0] not in unread
    ]
    return tabulate(rows, headers=["key", "value", "from"], disable_numparse=True)


def _facts(name: str, facts: dict[str, Any]) -> str:
    # Wrapping makes the text "False" True.
    rows = [[k, {True: "yes", False: "no"}[v] if isinstance(v, bool) else str(v)] for k, v in facts.items()]
    return f"{name}\n\n" + tabulate(rows, tablefmt="plain", maxcolwidths=[None, 90])
