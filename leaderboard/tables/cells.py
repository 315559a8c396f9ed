"""Cells that occur in several tables."""

from __future__ import annotations

from leaderboard.content import Entry, Estimate, Interval, Summary
from leaderboard.statistics.floors import shown
from leaderboard.tables.table import NOTHING, TableCell

DAGGER = "†"  # fewer seeds than planned
OURS = "°"  # no paper evaluates this combination


def words(text: str | None) -> TableCell:
    """A cell without a number."""
    return TableCell(text=NOTHING if text is None else text)


def number(value: float | None, form: str, signs: str = "") -> TableCell:
    """One number, shown by the format ``form``."""
    if value is None:
        return TableCell(text=NOTHING)
    return TableCell(text=format(value, form), numbers={"": value}, signs=signs)


def p_value(value: float | None) -> TableCell:
    """A p-value."""
    return TableCell(text=NOTHING) if value is None else TableCell(text=shown(value), numbers={"": value})


def interval(value: Interval | None, form: str) -> TableCell:
    """The two ends of an interval."""
    if value is None:
        return TableCell(text=NOTHING)
    text = f"{format(value.low, form)} to {format(value.high, form)}"
    return TableCell(text=text, numbers={"low": value.low, "high": value.high})


def estimate(value: Estimate | None, form: str) -> TableCell:
    """A value with its interval, if there is one, in brackets."""
    if value is None or value.interval is None:
        return number(value.value if value else None, form)
    ends = interval(value.interval, form)
    return TableCell(text=format(value.value, form), after=f"({ends.text})", numbers={"": value.value} | ends.numbers)


def mean(summary: Summary | None, digits: int) -> TableCell:
    """Mean, standard deviation and number of seeds."""
    if summary is None:
        return TableCell(text=NOTHING)
    numbers = {"mean": summary.mean} | ({} if summary.sd is None else {"sd": summary.sd}) | {"n": summary.n}
    spread = "" if summary.sd is None else f" ± {summary.sd:.{digits}f}"
    return TableCell(text=f"{summary.mean:.{digits}f}{spread}", after=f"({summary.n})", numbers=numbers)


def score(entry: Entry, digits: int) -> TableCell:
    """The test score of one row on one task with everything that is said about it."""
    if entry.summary is None:
        if entry.planned:
            return TableCell(text=NOTHING, after="(0)", signs=DAGGER)
        return TableCell(text="skipped" if entry.skipped else NOTHING)
    signs = DAGGER * entry.incomplete + OURS * (not entry.published)
    return mean(entry.summary, digits).model_copy(
        update={"strong": entry.tied_with_best, "signs": signs, "mark": entry.mark}
    )
