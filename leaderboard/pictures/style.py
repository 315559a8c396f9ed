"""How all pictures look: colours for colour-blind readers, sizes, and files that depend on the data alone."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_atomic
from leaderboard.content import Board
from leaderboard.pictures.rows import baseline, by_rank, compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette for colour-blind readers, without its yellow, which is too pale on paper.
# Lines and markers differ too, so that nothing rests on colour alone.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#9A9A9A"  # what stands in the background
QUIET = "#595959"  # text beside the data
PALE = "#E8F1F8"  # behind the focus method
TITLE, NAME, SMALL = 11.0, 8.0, 7.5  # font sizes in points
LETTER = 0.6  # mean width of a letter in units of its size

STYLE: Any = {  # matplotlib's settings have a literal type of their own
    "font.family": "sans-serif",
    # Verdana has the same widths, for readers of an SVG who do not have the first.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": NAME,
    "text.parse_math": False,  # names are no formulas
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.labelsize": SMALL,
    "axes.labelcolor": QUIET,
    "axes.labelpad": 2,
    "axes.edgecolor": "#808080",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": "#808080",
    "ytick.color": "#808080",
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": NAME,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "leaderboard",
    "savefig.dpi": 160,
}


@dataclass(frozen=True)
class Look:
    """How a row is drawn, in all pictures of a board."""

    colour: str
    line: Any
    marker: str
    named: bool  # stands out; the others are grey
    control: bool  # its markers are hollow

    @property
    def fill(self) -> str:
        """The inside of a marker."""
        return "white" if self.control else self.colour


def looks(board: Board) -> dict[str, Look]:
    """Row label -> its look. Of more rows than there are colours only focus, baseline and the best other stand out.

    A control has the colour of its method.
    """
    labels = compared(board)
    first = list(dict.fromkeys(label for label in (board.focus, baseline(board)) if label is not None))
    if len(labels) > len(COLOURS):
        others = [label for label in by_rank(board, board.tasks) if label in labels and label not in first][:1]
    else:
        others = [label for label in labels if label not in first]
    places = dict(zip(first, (0, 6) if board.focus is not None else (6,), strict=False))  # blue, and black
    free = [place for place in (1, 2, 3, 4, 5, 6, 0) if place not in places.values()]
    places |= dict(zip(others, free, strict=False))
    found = {
        label: Look(COLOURS[place], LINES[place], MARKERS[place], named=True, control=False)
        for label, place in places.items()
    }
    for label in labels:
        found.setdefault(label, Look(GREY, "-", "o", named=False, control=False))
    for row in board.rows:
        if row.control_of is not None:
            method = found.get(row.control_of, Look(GREY, "-", "o", named=False, control=False))
            found[row.label] = Look(method.colour, method.line, method.marker, method.named, control=True)
    return found


def dark(colour: str) -> str:
    """The colour, darkened until text in it can be read on white (contrast 4.5, as WCAG 2 asks)."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    while _luminance(red, green, blue) > 1.05 / 4.5 - 0.05:
        red, green, blue = 0.95 * red, 0.95 * green, 0.95 * blue
    return str(to_hex((red, green, blue)))


def _luminance(*channels: float) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def plain(text: str, length: int = 28) -> str:
    """One line without control characters; of a longer text the middle is left out."""
    letters = (letter if unicodedata.category(letter)[0] != "C" else " " for letter in text)
    line = " ".join("".join(letters).split())
    if len(line) <= length:
        return line
    end = length // 3
    return f"{line[: length - end - 1].rstrip()}…{line[-end:].lstrip()}"


def inches(text: str, size: float) -> float:
    """About how wide a text is; so that a layout does not depend on drawing it first."""
    wide = sum(letter in "mwMW%@…" or unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (len(text) + 0.6 * wide) * LETTER * size / 72


@contextmanager
def style() -> Iterator[None]:
    """Everything drawn inside looks alike, whatever the user's own configuration of matplotlib says."""
    from matplotlib import rc_context, rcdefaults, rcParams

    with rc_context(), warnings.catch_warnings():
        rcdefaults()
        rcParams.update(STYLE)
        # A name may hold letters that the font lacks; boxes stand for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def save(draw: Callable[[], Figure], stem: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write what ``draw`` returns to STEM.png and STEM.svg; the same figure always gives the same bytes.

    Parameters
    ----------
    texts: "Title" and "Description", kept in both files.

    Raises
    ------
    OSError: if a file cannot be written.
    """
    written = []
    with style():
        figure = draw()
        for ending, fixed in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            path = stem.with_name(f"{stem.name}.{ending}")
            kept = {name: plain(text, len(text)) for name, text in texts.items()}
            write_atomic(path, partial(figure.savefig, format=ending, metadata=kept | fixed))
            written.append(path)
    return written
