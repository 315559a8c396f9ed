"""Pictures of a board: which there are, what they say in words, and their files.

A picture is one small file of this package, which tells its subjects, title, description and figure.
matplotlib is loaded only when something is drawn.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.files import digest
from leaderboard.content import Board, Picture
from leaderboard.pictures import error_removed, learning, pareto, ranks, seeds, weights
from leaderboard.pictures.style import save
from leaderboard.tables.words import slug

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "pictures_of"]


class Kind(Protocol):
    """What a file of this package offers."""

    def subjects(self, board: Board) -> list[str]: ...

    def title(self, board: Board, subject: str) -> str: ...

    def describe(self, board: Board, subject: str) -> str: ...

    def figure(self, board: Board, subject: str) -> Figure: ...


FOLDER = "pictures"  # below that of the report

KINDS: dict[str, Kind] = {
    "error-removed": error_removed,
    "ranks": ranks,
    "pareto": pareto,
    "seeds": seeds,
    "learning": learning,
    "weights": weights,
}


def pictures_of(board: Board, several: bool) -> list[Picture]:
    """The pictures that the data of a board allow; ``several``: whether the report holds other protocols too."""
    # A protocol whose name changes in a file name could meet another's: its digest keeps them apart.
    clean = slug(board.protocol) == board.protocol
    of_protocol = [slug(board.protocol), *([] if clean else [digest(board.protocol)[:6]])] if several else []
    found: list[Picture] = []
    taken: set[str] = set()
    for name, kind in KINDS.items():
        for subject in kind.subjects(board):
            stem = file = "-".join([slug(name, subject), *of_protocol])
            number = 1
            while file in taken:
                number += 1
                file = f"{stem}-{number}"
            taken.add(file)
            found.append(
                Picture(
                    kind=name,  # type: ignore[arg-type]
                    subject=subject,
                    file=f"{FOLDER}/{file}",
                    title=kind.title(board, subject),
                    description=kind.describe(board, subject),
                )
            )
    return found


def draw(board: Board, picture: Picture, folder: Path) -> list[Path]:
    """Write ``picture`` of ``board`` below the report's ``folder`` as PNG and SVG and return their paths.

    Raises
    ------
    OSError: if a file cannot be written.
    """
    texts = {"Title": picture.title, "Description": picture.description}
    figure = partial(KINDS[picture.kind].figure, board, picture.subject)
    return save(figure, folder / picture.file, texts)
