"""One paper's file of numbers: what may stand in it, and reading it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bench.errors import RequestError, nearest
from bench.files import parse_yaml

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Suite = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Task = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*:[a-z0-9]+(-[a-z0-9]+)*$")]
Method = Suite  # the same spelling


class _Strict(BaseModel):
    # Strict: a number in quotes is a slip of the pen, not a number.
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Column(_Strict):
    """A column of a table: one task under one metric."""

    task: Task  # "suite:name", ours
    name: Text  # as the paper writes it
    metric: Text  # as the paper names it
    higher_is_better: bool
    difference: Text | None = None  # of this task from ours


class Line(_Strict):
    """A row of a table."""

    method: Method  # the registry's name where there is one
    name: Text  # as the paper writes it
    scores: list[float]  # in the order of the columns
    sd: list[Annotated[float, Field(ge=0)]] | None = None  # what stands behind the plus-minus sign
    average: float | None = None  # as printed
    difference: Text | None = None


class Claim(_Strict):
    """That a method is the best in every column of its table."""

    text: Text
    made_by: Literal["paper", "reading"]  # a sentence of the paper, or what a reader takes from the table
    method: Method


class Table(_Strict):
    """A table, or the part of it that is known."""

    where: Text
    suite: Suite
    units: Literal["percent", "metric"]
    n: Annotated[int, Field(gt=0)] | None  # runs; None where the paper does not say
    spread: Text  # what stands behind the plus-minus sign, or that nothing does
    differences: list[Text] = []
    columns: Annotated[list[Column], Field(min_length=1)]
    rows: Annotated[list[Line], Field(min_length=1)]
    claims: list[Claim] = []

    @model_validator(mode="after")
    def _fits(self) -> Table:
        tasks = [column.task for column in self.columns]
        methods = [row.method for row in self.rows]
        for what, names in (("task", tasks), ("method", methods)):
            if repeated := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{self.where}: expected each {what} once, got {repeated!r} twice")
        if foreign := next((task for task in tasks if task.partition(":")[0] != self.suite), None):
            raise ValueError(f"{self.where}: expected tasks of {self.suite}, got {foreign!r}")
        for row in self.rows:
            for key, values in (("scores", row.scores), ("sd", row.sd)):
                if values is not None and len(values) != len(tasks):
                    raise ValueError(
                        f"{self.where}: row {row.name!r}: {key}: expected {len(tasks)} numbers, got {len(values)}"
                    )
            wild = [score for score in row.scores if self.units == "percent" and abs(score) > 100]
            if wild:
                raise ValueError(f"{self.where}: row {row.name!r}: scores: expected percent, got {wild[0]}")
        for claim in self.claims:
            if claim.method not in methods:
                raise ValueError(f"{self.where}: claim on {claim.method!r}; {nearest(claim.method, methods)}")
        return self


class CostLine(_Strict):
    """The range of one method's relative cost."""

    method: Method
    name: Text  # as the paper writes it
    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> CostLine:
        if self.low > self.high:
            raise ValueError(f"{self.name}: expected low <= high, got {self.low} and {self.high}")
        return self


class CostTable(_Strict):
    """A table of costs relative to fine-tuning = 1."""

    where: Text
    note: Text
    rows: Annotated[list[CostLine], Field(min_length=1)]


class Paper(_Strict):
    """All that is known of one paper's numbers."""

    paper: Text
    source: Text  # identifier and version
    differences: dict[Suite, list[Text]]  # from our protocols, by suite; "any" of all tables
    tables: list[Table]
    costs: list[CostTable] = []
    absent: list[Text]  # numbers of the paper that are not entered, so that nobody thinks they were forgotten

    @model_validator(mode="after")
    def _named(self) -> Paper:
        known = {"any", *(table.suite for table in self.tables)}
        if strange := next((suite for suite in self.differences if suite not in known), None):
            raise ValueError(f"differences: no table is of {strange!r}; {nearest(strange, known)}")
        return self


def read(path: Path) -> Paper:
    """Read one file.

    Raises
    ------
    RequestError: naming file and key, if it is not valid.
    """
    expected = f"{path}: expected YAML"
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), expected, trusted=True)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{expected}: {error}") from error
    try:
        return Paper.model_validate(content)
    except ValidationError as error:
        # A misspelt key first: it is why another one is missing.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        got = "" if first["type"] in ("missing", "value_error", "extra_forbidden") else f", got {first['input']!r:.80}"
        message = "not known" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{path}: {f'{key}: ' if key else ''}{message}{got}") from error
