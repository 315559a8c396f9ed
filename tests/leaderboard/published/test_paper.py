"""A paper's file that is not right is refused in one line that names file and key; its claims are computed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.errors import RequestError
from leaderboard.published.flags import flags
from leaderboard.published.paper import Table, read

GOOD: dict[str, Any] = {
    "paper": "A paper",
    "source": "arXiv 0000.00000",
    "differences": {"any": ["Another split."], "made": ["Another corpus."]},
    "tables": [
        {
            "where": "Table 1",
            "suite": "made",
            "units": "percent",
            "n": 3,
            "spread": "standard deviation",
            "columns": [
                {"task": "made:one", "name": "One", "metric": "accuracy", "higher_is_better": True},
                {"task": "made:two", "name": "Two", "metric": "error", "higher_is_better": False},
            ],
            "rows": [
                {"method": "old", "name": "Old", "scores": [80.0, 20.0], "sd": [1.0, 1.0], "average": 50.0},
                {"method": "new", "name": "New", "scores": [81.5, 19.4], "average": 50.5},
            ],
            "claims": [{"text": "best everywhere", "made_by": "paper", "method": "new"}],
        }
    ],
    "costs": [{"where": "Table 2", "note": "hours", "rows": [{"method": "new", "name": "New", "low": 2, "high": 3}]}],
    "absent": ["Table 3."],
}
REMOVED = object()


def changed(path: tuple[str | int, ...], to: Any) -> dict[str, Any]:
    content = copy.deepcopy(GOOD)
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    if to is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return content


def saved(folder: Path, content: Any) -> Path:
    path = folder / "made.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    found = read(saved(tmp_path, GOOD))
    assert found.tables[0].rows[1].scores == [81.5, 19.4]
    assert found.costs[0].rows[0].high == 3


@pytest.mark.parametrize(
    ("path", "to", "says"),
    [
        (("tables", 0, "rows", 1, "scores"), [81.5], "row 'New': scores: expected 2 numbers, got 1"),
        (("tables", 0, "rows", 0, "sd"), [1.0], "row 'Old': sd: expected 2 numbers, got 1"),
        (("tables", 0, "rows", 0, "sd"), [1.0, -1.0], "tables.0.rows.0.sd.1: Input should be greater than"),
        (
            ("tables", 0, "rows", 0, "scores"),
            [80.0, float("nan")],
            "tables.0.rows.0.scores.1: Input should be a finite",
        ),
        (
            ("tables", 0, "rows", 0, "scores"),
            [80.0, "20.0"],
            "tables.0.rows.0.scores.1: Input should be a valid number",
        ),
        (("tables", 0, "rows", 0, "scores"), [80.0, True], "tables.0.rows.0.scores.1: Input should be a valid number"),
        (("tables", 0, "rows", 0, "scores"), [80.0, 2000.0], "row 'Old': scores: expected percent, got 2000.0"),
        (("tables", 0, "rows", 0, "average"), float("inf"), "tables.0.rows.0.average: Input should be a finite"),
        (("tables", 0, "rows", 0, "method"), "Old one", "tables.0.rows.0.method: String should match"),
        (("tables", 0, "rows", 1, "method"), "old", "expected each method once, got 'old' twice"),
        (("tables", 0, "columns", 1, "task"), "made:one", "expected each task once, got 'made:one' twice"),
        (("tables", 0, "columns", 1, "task"), "two", "tables.0.columns.1.task: String should match"),
        (("tables", 0, "columns", 1, "task"), "other:two", "expected tasks of made, got 'other:two'"),
        (("tables", 0, "claims", 0, "method"), "knew", "claim on 'knew'; did you mean new?"),
        (("tables", 0, "collumns"), [], "tables.0.collumns: not known"),
        (("tables", 0, "spread"), REMOVED, "tables.0.spread: Field required"),
        (("tables", 0, "n"), 0, "tables.0.n: Input should be greater than 0, got 0"),
        (("tables", 0, "units"), "furlongs", "tables.0.units: Input should be 'percent' or 'metric', got 'furlongs'"),
        (("differences", "mad"), ["x"], "differences: no table is of 'mad'; did you mean made?"),
        (("costs", 0, "rows", 0, "low"), 4, "New: expected low <= high, got 4.0 and 3.0"),
        (("absent",), REMOVED, "absent: Field required"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path: Path, path: tuple[str | int, ...], to: object, says: str
) -> None:
    file = saved(tmp_path, changed(path, to))
    with pytest.raises(RequestError) as refused:
        read(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["tables: [", "", "- a list", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_mapping_or_no_plain_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = saved(tmp_path, text)
    with pytest.raises(RequestError, match=r"made\.yaml: ") as refused:
        read(file)
    assert "\n" not in str(refused.value)


def table(*scores: tuple[float, float], average: float | None = None) -> Table:
    """Rows r0 (of which "best everywhere" is claimed), r1 ...; the second column is an error."""
    content = changed(("tables", 0, "claims", 0, "method"), "r0")["tables"][0]
    content["rows"] = [{"method": f"r{i}", "name": f"R{i}", "scores": list(pair)} for i, pair in enumerate(scores)]
    content["rows"][0]["average"] = average
    return Table.model_validate(content)


def test_a_claim_that_holds_gives_no_flag() -> None:
    assert flags(table((81.5, 19.4), (80.0, 20.0))) == []


def test_an_error_is_better_when_lower() -> None:
    (flag,) = flags(table((81.5, 20.5), (80.0, 20.1)))
    assert flag == "R0 “best everywhere” (the paper's claim): on Two R1 has 20.1 against 20.5"


def test_ties_and_losses_stand_together_and_losses_first() -> None:
    (flag,) = flags(table((80.0, 20.5), (80.0, 20.1), (79.9, 19.9)))
    assert flag.endswith(": on Two R1 has 20.1 against 20.5; on Two R2 has 19.9 against 20.5; on One R1 has 80.0 too")


@pytest.mark.parametrize(
    ("average", "flagged"),
    # The scores' mean is 50.4. With one decimal the average may be half a unit off, and the scores as much before it.
    [(50.4, False), (50.5, False), (50.3, False), (50.6, True), (50.2, True), (None, False)],
)
def test_an_average_is_flagged_beyond_what_rounding_allows(average: float | None, flagged: bool) -> None:
    assert bool(flags(table((81.5, 19.3), (80.0, 20.0), average=average))) == flagged
