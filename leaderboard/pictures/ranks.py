"""One picture per suite: the critical-difference diagram of Demsar (2006).

Average ranks on an axis, and bars that join methods which no test separates. The groups come from
Holm-corrected exact sign flips of all pairs instead of one critical difference (Benavoli et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.content import Board, Ranking, SuiteTable
from leaderboard.pictures.layout import EDGE, LINE, wrap
from leaderboard.pictures.rows import counted, suite_table, suites
from leaderboard.pictures.style import NAME, QUIET, SMALL, TITLE, dark, inches, looks, plain
from leaderboard.tables.coverage import unrecorded
from leaderboard.tables.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXIS = 3.6  # length of the axis in inches
STEP = 0.19  # inches from a name to the next
BAR = 0.11  # inches from a bar to the next


def subjects(board: Board) -> list[str]:
    """The suites with a ranking of at least two rows."""
    return [suite for suite in suites(board) if (found := _of(board, suite)) and len(found.rows) > 1]


def title(board: Board, subject: str) -> str:
    """What the picture shows."""
    return f"Average ranks on {plain(subject, 40)}"


def describe(board: Board, subject: str) -> str:
    """The first ranks, the focus method's, and the groups in words."""
    ranking = _ranking(board, subject)
    pairs = list(zip(ranking.rows, ranking.average_ranks, strict=True))
    best = [f"{plain(row)} {rank:.2f}" for row, rank in pairs[:3]]
    sentence = f"Average ranks of {counted(len(pairs), 'method')}, 1 is best: {listed(best)} come first"
    mine = [f"{plain(row)} has {rank:.2f}" for row, rank in pairs[3:] if row == board.focus]
    return f"{'; '.join([sentence, *mine])}. {_groups(ranking)}"


def figure(board: Board, subject: str) -> Figure:
    """Draw the axis with the best rank on its left, the better half of the names left of it, the others right."""
    from matplotlib.figure import Figure

    ranking = _ranking(board, subject)
    table = suite_table(board, subject)
    tasks = counted(len(table.tasks) if table else 0, "task")
    bars = levels(ranking)
    depth = max((level for _, _, level in bars), default=-1) + 1
    half = (len(ranking.rows) + 1) // 2
    left = max(inches(_name(row, rank), 1.08 * NAME) for row, rank in _pairs(ranking)) + 0.2
    width = AXIS + 2 * left + 2 * EDGE
    heading = wrap(title(board, subject), 1.08 * TITLE, width - 2 * EDGE)
    note = wrap(
        f"Protocol {plain(board.protocol)}. Ranks are averages over {tasks}; 1 is best.{_seeds(table)} "
        f"{_note(ranking)}",
        0.9 * SMALL, width - 2 * EDGE,
    )  # fmt: skip
    top = EDGE + (heading.count("\n") + 1) * LINE * TITLE / 72 + 0.35
    middle = 0.12 + BAR * depth + 0.12 + STEP * half
    height = top + middle + 0.12 + EDGE + (note.count("\n") + 1) * LINE * SMALL / 72
    figure = Figure(figsize=(width, height))
    figure.text(EDGE / width, 1 - EDGE / height, heading, fontsize=TITLE, fontweight="bold", va="top")
    figure.text(EDGE / width, EDGE / height, note, fontsize=SMALL, color=QUIET, va="bottom", linespacing=1.2)
    # One axes whose y is inches below the ruler, so that names and bars keep their distances.
    axis = figure.add_axes(((EDGE + left) / width, 1 - (top + middle) / height, AXIS / width, middle / height))
    low, high = 1, max(len(ranking.rows), 2)
    axis.set_xlim(low, high)
    axis.set_ylim(middle, 0)
    _ruler(axis, high)
    for first, last, level in bars:
        ranks = ranking.average_ranks[first], ranking.average_ranks[last]
        pad = 0.01 * (high - low)
        at = 0.12 + BAR * level
        axis.plot(
            [ranks[0] - pad, ranks[1] + pad], [at, at], color="#303030", lw=3, solid_capstyle="round", gid="group"
        )
    _names(axis, board, ranking, 0.12 + BAR * depth + 0.12)
    return figure


def _names(axis: Axes, board: Board, ranking: Ranking, down: float) -> None:
    """Write the names from ``down`` inches below the ruler on, each joined to its rank."""
    look, half, (low, high) = looks(board), (len(ranking.rows) + 1) // 2, axis.get_xlim()
    for place, (row, rank) in enumerate(_pairs(ranking)):
        is_left = place < half
        line = place if is_left else len(ranking.rows) - 1 - place
        y, end = down + STEP * (line + 0.5), low if is_left else high
        named = look[row].named
        colour = look[row].colour if named else "#7A7A7A"
        overhang = -0.08 if is_left else 0.08
        beyond = end + overhang * (high - low) / AXIS
        axis.plot(
            [rank, rank, beyond],
            [0, y, y],
            color=colour,
            lw=1.4 if named else 0.7,
            clip_on=False,
            zorder=2 if named else 1,
        )
        axis.plot([rank], [0], marker=look[row].marker, markersize=5 if named else 3.5, color=colour, clip_on=False,
                  zorder=4 if named else 3)  # fmt: skip
        axis.annotate(
            _name(row, rank), (beyond, y), xytext=(-3 if is_left else 3, 0), textcoords="offset points",
            ha="right" if is_left else "left", va="center", fontsize=NAME, annotation_clip=False,
            color=dark(colour) if named else "#404040", fontweight="bold" if row == board.focus else "normal",
        )  # fmt: skip


def levels(ranking: Ranking) -> list[tuple[int, int, int]]:
    """First row, last row and level of each group's bar: no two bars on a level touch."""
    found: list[tuple[int, int, int]] = []
    ranks, clear = ranking.average_ranks, 0.04 * len(ranking.rows)
    spans = sorted((ranking.rows.index(group[0]), ranking.rows.index(group[-1])) for group in ranking.groups)
    for first, last in spans:
        taken = {level for _, end, level in found if ranks[end] + clear > ranks[first]}
        found.append((first, last, next(k for k in range(len(spans)) if k not in taken)))
    return found


def _ruler(axis: Axes, high: int) -> None:
    axis.spines[["left", "right", "bottom"]].set_visible(False)
    axis.spines["top"].set_visible(True)
    axis.spines["top"].set_color("#303030")
    axis.xaxis.tick_top()
    axis.set_yticks([])
    step = 1 if high <= 15 else 2
    axis.set_xticks(range(1, high + 1, step))


def _name(row: str, rank: float) -> str:
    return f"{plain(row)}  {rank:.2f}"


def _pairs(ranking: Ranking) -> list[tuple[str, float]]:
    return list(zip(ranking.rows, ranking.average_ranks, strict=True))


def _note(ranking: Ranking) -> str:
    if ranking.no_groups is not None:
        return f"No bars: {plain(ranking.no_groups, 200)}."
    how = f"sign flips over tasks, Holm over {counted(ranking.family_size, 'pair')}, 5 %"
    if not ranking.groups:
        return f"No bars: every two methods are separated ({how})."
    return f"Bars join methods that no test separates ({how})."


def _seeds(table: SuiteTable | None) -> str:
    if table is None:
        return ""
    lines = [plain(line, 200) for line in unrecorded(table)]
    if table.shared_seeds:
        lines.append("Where the seed draws the split, only the seeds count that all of them have.")
    return "".join(f" {line}" for line in lines)


def _groups(ranking: Ranking) -> str:
    """The groups in words."""
    if ranking.no_groups is not None:
        return f"No groups are drawn: {plain(ranking.no_groups, 200)}."
    if not ranking.groups:
        return "Every two methods are separated."
    spans: Sequence[str] = [
        f"{plain(group[0])} to {plain(group[-1])} ({counted(len(group), 'method')})" for group in ranking.groups
    ]
    return f"Not separated from each other: {listed(spans)}."


def _of(board: Board, suite: str) -> Ranking | None:
    table = suite_table(board, suite)
    return table.ranking if table else None


def _ranking(board: Board, suite: str) -> Ranking:
    found = _of(board, suite)
    assert found
    return found
