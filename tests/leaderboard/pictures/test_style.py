"""Looks: nothing rests on colour alone, and a method looks the same in all pictures."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb

from leaderboard.pictures.style import COLOURS, GREY, dark, looks
from tests.leaderboard.pictures.made import board


def test_seven_methods_differ_in_colour_line_and_marker() -> None:
    methods = ["finetune", "tapweight", *(f"m{k}" for k in range(5))]
    found = looks(board(methods))
    assert len({look.colour for look in found.values()}) == 7
    assert len({str(look.line) for look in found.values()}) == 7
    assert len({look.marker for look in found.values()}) == 7
    assert (found["tapweight"].colour, found["finetune"].colour) == ("#0072B2", "#000000")


def test_of_more_methods_focus_baseline_and_best_stand_out() -> None:
    methods = ["finetune", "tapweight", *(f"m{k}" for k in range(20)), "tapweight-null"]
    found = looks(board(methods))
    assert {label for label, look in found.items() if look.named and not look.control} == {
        "finetune",
        "tapweight",
        "m19",
    }
    assert found["m3"].colour == GREY
    assert found["tapweight-null"].colour == found["tapweight"].colour
    assert (found["tapweight-null"].fill, found["tapweight"].fill) == ("white", found["tapweight"].colour)


@pytest.mark.parametrize("focus", ["finetune", None])
def test_any_focus(focus: str | None) -> None:
    found = looks(board(["finetune", *(f"m{k}" for k in range(6))], focus=focus))
    assert len({look.colour for look in found.values()}) == 7


def test_text_can_be_read_on_white() -> None:
    def contrast(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 1.05 / (0.05 + 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])

    assert min(contrast(colour) for colour in COLOURS) < 3
    assert min(contrast(dark(colour)) for colour in COLOURS) >= 4.45
    assert dark("#000000") == "#000000"
