"""What a published table says against itself, computed from its numbers as printed."""

from __future__ import annotations

from fractions import Fraction

from leaderboard.published.paper import Claim, Line, Table


def recomputed_average(row: Line) -> float | None:
    """Return the mean of all scores of ``row`` as printed, where the paper prints an average."""
    return None if row.average is None else float(_mean(row))


def flags(table: Table) -> list[str]:
    """Return one line for each printed average and each claim that the table's own numbers contradict."""
    averages = [_average(table, row) for row in table.rows]
    claims = [_claim(table, claim) for claim in table.claims]
    return [flag for flag in (*averages, *claims) if flag]


def _average(table: Table, row: Line) -> str | None:
    if row.average is None:
        return None
    decimals = max(_decimals(value) for line in table.rows for value in (*line.scores, line.average or 0.0))
    # Half a unit of the last digit for the average, and as much for the scores if they were averaged unrounded.
    if abs(_mean(row) - _exact(row.average)) <= Fraction(1, 10**decimals):
        return None
    return f"{row.name}: average printed as {row.average}, of the printed scores {float(_mean(row)):.{decimals + 1}f}"


def _claim(table: Table, claim: Claim) -> str | None:
    own = next(row for row in table.rows if row.method == claim.method)
    others = [row for row in table.rows if row is not own]
    lost: list[str] = []
    tied: list[str] = []
    for index, column in enumerate(table.columns):
        sign = 1 if column.higher_is_better else -1
        ahead = [row for row in others if sign * (row.scores[index] - own.scores[index]) > 0]
        level = [row for row in others if row.scores[index] == own.scores[index]]
        lost += [f"on {column.name} {row.name} has {row.scores[index]} against {own.scores[index]}" for row in ahead]
        tied += [f"on {column.name} {row.name} has {row.scores[index]} too" for row in level if not ahead]
    if not lost + tied:
        return None
    origin = "the paper's claim" if claim.made_by == "paper" else "what the table suggests, not a sentence of the paper"
    return f"{own.name} “{claim.text}” ({origin}): {'; '.join([*lost, *tied])}"


def _mean(row: Line) -> Fraction:
    return sum((_exact(score) for score in row.scores), Fraction(0)) / len(row.scores)


def _exact(value: float) -> Fraction:
    """The decimal number as printed, so that a sum of printed numbers has no rounding of its own."""
    return Fraction(str(value))


def _decimals(value: float) -> int:
    return len(str(value).partition(".")[2].rstrip("0"))
