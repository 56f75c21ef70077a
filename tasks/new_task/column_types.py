"""What each column holds (numbers, categories, text, times), as guessed from all cells or corrected by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from tasks.errors import TaskError
from tasks.io.columns import Columns, parse_numbers
from tasks.io.csv_text import is_missing
from tasks.io.timestamps import UnreadableTimestamps, parse_timestamps
from tasks.new_task.numbers_with_commas import rewrite_numbers
from tasks.new_task.request import Findings, Kind

SHOWN = 20
"""Columns that are described one by one."""
LONG_TEXT_WORDS = 8
PROBED = 500
"""Distinct cells from which times and texts are recognised."""
_TIME = re.compile(
    r"\d{4}[-/.]?[QqWw]?\d{1,2}([-/.]\d{1,2})?([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([ T,].*)?"
    r"|\d{1,4}[ ./-]+(MONTH)[ ./,-]+\d{1,4}([ T,].*)?|(MONTH)[ ./-]+(\d{1,2},? +)?\d{4}([ T,].*)?".replace(
        "MONTH", r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Column:
    """What a column holds. `missing` counts its empty cells, `words` is the mean number of words of a text.

    `low` and `high` are the bounds of numbers.
    """

    name: str
    kind: Kind
    distinct: int
    missing: int
    is_whole: bool = False
    low: float = 0.0
    high: float = 0.0
    words: float = 0.0
    longest: int = 0

    def describe(self, rows: int) -> str:
        """Kind, range and missing cells, in a few words."""
        missing = f", {self.missing / rows:.1%} empty" if self.missing else ""
        if not self.distinct:
            return "empty"
        if self.kind == "number":
            kind = "whole number" if self.is_whole else "number"
            return f"{kind}, {shown_number(self.low)} to {shown_number(self.high)}{missing}"
        if self.kind == "text":
            return f"text, {self.words:.0f} words on average, at most {self.longest:,} characters{missing}"
        return f"{self.kind}, {self.distinct:,} different values{missing}"


def shown_number(value: float) -> str:
    """A number as people read it: large ones without an exponent."""
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:g}"


def find_types(table: Columns, given: Mapping[str, Kind]) -> dict[str, Column]:
    """What each column holds. `given` are corrections."""
    return {
        name: _column(name, table.column_at(index), table, given.get(name)) for index, name in enumerate(table.header)
    }


def _column(name: str, cells: list[str], table: Columns, given: Kind | None) -> Column:
    distinct = set(cells)
    known = {cell for cell in distinct if not is_missing(cell)}
    missing = len(cells) - sum(1 for cell in cells if cell in known) if len(known) < len(distinct) else 0
    numbers = parse_numbers(list(known)) if given in (None, "number") else None
    if numbers:
        whole = all(value.is_integer() for value in numbers)
        return Column(name, "number", len(known), missing, whole, min(numbers), max(numbers))
    kind: Kind = given or _kind_of_words(known)
    some = list(islice(known, PROBED))
    words = sum(len(cell.split()) for cell in some) / max(1, len(some))
    return Column(name, kind, len(known), missing, words=words, longest=max(map(len, known), default=0))


def _kind_of_words(known: set[str]) -> Kind:
    some = list(islice(known, PROBED))
    if some and all(_TIME.fullmatch(cell.strip()) for cell in some):
        return "time"
    letters = [cell for cell in some if any(letter.isalpha() for letter in cell)]
    if letters and sum(len(cell.split()) for cell in letters) / len(some) >= LONG_TEXT_WORDS:
        return "text"
    return "category"


def apply_types(table: Columns, given: Mapping[str, Kind], shown: str) -> Columns:
    """The table with the cells of corrected columns rewritten: numbers plain, times checked. Raises TaskError."""
    for name, kind in given.items():
        if name not in table.header:
            raise TaskError(
                f"{shown}: --types {name} is not a column. Its columns are: {', '.join(table.header[:20])}."
            )
        if kind == "number":
            cells, wrong = rewrite_numbers(table.column(name))
            if wrong:
                raise TaskError(
                    f"{shown}: --types {name}=number, but {wrong[:40]!r} in some row is not a number. Empty such cells."
                )
            table = table.with_column(name, cells)
        if kind == "time":
            check_times(table.column(name), name, shown)
    return table


def check_times(cells: Sequence[str], name: str, shown: str) -> list[float | None]:
    """The cells as times. Raises TaskError for cells that are not, or in several formats."""
    try:
        return parse_timestamps(cells, name)
    except UnreadableTimestamps as error:
        raise TaskError(f"{shown}: {error}.") from None


def describe_types(columns: Mapping[str, Column], rows: int, findings: Findings) -> None:
    """Add a fact on each column, or on kinds where there are many."""
    some = list(columns.values())[:SHOWN]
    lines = [f"{column.name}: {column.describe(rows)}" for column in some]
    lines += [f"and {len(columns) - SHOWN} more columns"] if len(columns) > SHOWN else []
    findings.facts.append(f"{rows:,} rows and {len(columns):,} columns")
    findings.guesses.append("\n    ".join(["types of columns (correct them with --types COLUMN=KIND):", *lines]))
