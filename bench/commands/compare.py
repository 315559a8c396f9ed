"""The compare command: one comparison in full, as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leaderboard.content import Comparison, Interval
    from leaderboard.versus import TaskVersus, Together, Versus


def comparison(folders: Sequence[Path], first: str, second: str, task: str | None) -> str:
    """Return what :func:`leaderboard.versus.versus` finds, which raises RequestError, as plain text."""
    from leaderboard.versus import versus

    return "\n\n".join(block for found in versus(folders, first, second, task) for block in _protocol(found))


def _protocol(found: Versus) -> Iterator[str]:
    from leaderboard.tables.words import one_line

    first, second = map(one_line, found.rows)
    yield f"{first} against {second}, protocol {one_line(found.protocol)}; gains are positive where {first} is better"
    for task in found.tasks:
        yield _task(task, first, second)
    for over in found.together:
        yield _together(over, first)
    if found.no_scale:
        yield f"over tasks: nothing, because {found.no_scale}"


def _task(found: TaskVersus, first: str, second: str) -> str:
    from tabulate import tabulate

    from leaderboard.tables.words import decimals, metric_name, one_line

    table, digits = found.table, decimals(found.table) + 1
    direction = "larger" if table.higher_is_better else "smaller"
    lines = [
        f"{one_line(table.task)}: {one_line(metric_name(table.metric))}, {direction} is better; "
        f"split {one_line(table.split)}"
    ]
    for name, entry in zip((first, second), found.entries, strict=True):
        assert entry.summary
        spread = "" if entry.summary.sd is None else f" ± {entry.summary.sd:.{digits}f}"
        planned = f" of {entry.planned} planned" if entry.incomplete else ""
        lines.append(f"  {name}: {entry.summary.mean:.{digits}f}{spread} ({entry.summary.n} seeds{planned})")
    rows = [
        [str(seed.seed), *(_number(score, f".{digits}f") for score in seed.scores), _number(seed.gain, f"+.{digits}f"),
         *(one_line(identity or "-") for identity in seed.identities)]
        for seed in found.seeds
    ]  # fmt: skip
    head = ["seed", first, second, "gain", f"record of {first}", f"record of {second}"]
    lines += [f"  {line}" for line in tabulate(rows, head, disable_numparse=True).splitlines()]
    lines += [f"  {name}: {text}" for name, text in _facts(found, first, second, digits)]
    return "\n".join(lines)


def _facts(found: TaskVersus, first: str, second: str, digits: int) -> Iterator[tuple[str, str]]:
    one = found.comparison
    sizes = [f"{one.effect:+.{digits}f}{_interval(one.interval, digits)}"]
    if one.effect_sd is not None:
        sizes.append(f"{one.effect_sd:+.2f} pooled sd")
    if one.effect_error_removed is not None:
        sizes.append(f"{one.effect_error_removed:+.1%} of fine-tuning's error")
    yield "gain", "; ".join(sizes)
    yield f"P({first} better than {second})", f"{one.probability_better:.2f}, ties half"
    yield from _test(found, one, first)
    yield (
        "seeds needed",
        (
            "unknown, or more than anyone has"
            if found.needed is None
            else f"{found.needed:,} a method, to find such a gain with probability 0.8 (approximately)"
        ),
    )
    common = sum(seed.gain is not None for seed in found.seeds)
    correlation = "unknown" if one.seed_correlation is None else f"{one.seed_correlation:+.2f}"
    yield "seed correlation", f"{correlation}, {common} common seeds"


def _test(found: TaskVersus, one: Comparison, first: str) -> Iterator[tuple[str, str]]:
    from leaderboard.statistics.floors import shown
    from leaderboard.tables.words import drawn

    if one.p is None or one.p_focus_better is None:
        yield "p", f"none: {found.no_marks or one.statistic}"
        return
    unequal = " (n differs)" if one.statistic == "Welch t" else ""
    yield "test", f"{one.pairing} permutation of the {one.statistic}{unequal}, {drawn(one)}"
    yield "p", f"{shown(one.p)} two-sided, {shown(one.p_focus_better)} one-sided ({first} better)"
    if found.no_marks:
        yield "cannot be significant", found.no_marks


def _together(found: Together, first: str) -> str:
    from leaderboard.statistics.floors import shown
    from leaderboard.tables.words import drawn, one_line

    one, better = found.comparison, found.comparison.improvement
    ends = f" (95 % {one.interval.low:+.1%} to {one.interval.high:+.1%})" if one.interval else ""
    spread = better.interval
    likely = f", 95 % {spread.low:.2f} to {spread.high:.2f}" if spread else ", too few seeds for an interval"
    gain = f"mean gain {one.difference:+.1%} of fine-tuning's error{ends}"
    lines = [
        f"over {len(one.tasks)} tasks ({one_line(found.name)}): {gain}",
        f"  P({first} better), mean over tasks: {better.value:.2f}{likely}",
    ]
    if one.p is None or one.p_stratified is None:
        return "\n".join([*lines, f"  p: none: {found.no_marks}"])
    lines.append(f"  on tasks like these: p {shown(one.p)} two-sided, sign flip of the tasks, {drawn(one.sign_flip)}")
    if found.no_marks:
        lines.append(f"  cannot be significant: {found.no_marks}")
    how = f"labels shuffled within tasks, {drawn(one.stratified)}"
    return "\n".join([*lines, f"  on exactly these tasks: p {shown(one.p_stratified)} two-sided, {how}"])


def _interval(interval: Interval | None, digits: int) -> str:
    return f" (95 % {interval.low:+.{digits}f} to {interval.high:+.{digits}f})" if interval else ""


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
