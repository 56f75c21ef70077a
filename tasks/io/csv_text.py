"""Read and write CSV files as text: every cell stays as it is written, with no type or missing-value conversion.

TableError      a file that cannot be read as a table; the message names file and line
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from tasks.io.atomic import open_durable

MAX_CELL_CHARS = 100_000_000
ROWS_AT_ONCE = 500
"""Rows handled together. More are slower: the garbage collector rescans waiting rows (at 100,000, 3 times slower)."""
BOM = "\ufeff"
Row = list[str]
Number = int | Decimal


class TableError(Exception):
    """A file cannot be read as a table; the message names the file and the line."""


def iter_rows(stream: TextIO, name: str, delimiter: str = ",") -> Iterator[tuple[int, Row]]:
    """Line number and cells of each row of an open CSV, header first; blank lines are skipped.

    Raises `TableError` for a row that is longer or shorter than the header.
    """
    reader = _csv_reader(stream, delimiter)
    for row in _equal_width_rows(reader, name):
        yield reader.line_num, row


def read_header(path: Path) -> Row:
    """The column names of a CSV; empty for an empty file. Raises `TableError`, OSError."""
    return next(read_rows(path), [])


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV as text, header first, bytes that are not UTF-8 kept. Raises `TableError`, OSError."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield from _equal_width_rows(_csv_reader(stream), path.name)


def _csv_reader(stream: TextIO, delimiter: str = ",") -> Any:
    csv.field_size_limit(MAX_CELL_CHARS)
    return csv.reader(stream, delimiter=delimiter)


def _equal_width_rows(reader: Any, name: str) -> Iterator[Row]:
    width = -1
    try:
        for row in reader:
            if not row:
                continue
            width = len(row) if width < 0 else width
            if len(row) != width:
                raise TableError(f"{name}: line {reader.line_num} has {len(row)} cells, the header has {width}")
            yield row
    except csv.Error as error:
        raise TableError(f"{name}: line {reader.line_num} cannot be read as CSV: {error}") from None


def write_rows(path: Path, rows: Iterable[Sequence[str]], mode: int = 0o644, delimiter: str = ",") -> None:
    """Write rows (header first) to a file that replaces `path` at once and is synced to disk."""
    with open_writer(path, mode, delimiter) as write:
        write(rows)


@contextlib.contextmanager
def open_writer(
    path: Path, mode: int = 0o644, delimiter: str = ","
) -> Iterator[Callable[[Iterable[Sequence[str]]], None]]:
    """A function that appends rows; the file replaces `path` at the end of the block, complete and synced to disk."""
    with open_durable(path, mode) as stream:
        yield partial(_write, stream, delimiter)


def _write(stream: TextIO, delimiter: str, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as CSV. Rows without quoted cells are joined, in a fifth of the csv module's time."""
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, ROWS_AT_ONCE)):
        text = "\n".join(map(delimiter.join, some)) + "\n"
        separators = sum(map(len, some)) - len(some)
        is_equal = text.count("\n") == len(some) and text.count(delimiter) == separators and min(map(len, some)) > 1
        stream.write(text if is_equal and is_plain(text) else _quote_rows(some, delimiter, "\r" in text))


def is_plain(text: str) -> bool:
    """Whether the text has no quotes, carriage returns or byte order mark, so that splitting it reads it as CSV."""
    return '"' not in text and "\r" not in text and not text.startswith(BOM)


class _Lines(list[str]):
    """A file-like object for `csv.writer` that keeps each written row as one item."""

    write = list.append


def _quote_rows(rows: Sequence[Sequence[str]], delimiter: str, has_returns: bool) -> str:
    """Rows quoted as Python's writer quotes them, and in two more cases.

    Python's writer leaves a lone carriage return unquoted unless it ends lines, and its reader would start a new row
    there. It also leaves a byte order mark in the first cell unquoted, and readers take that one for the file's.
    """
    lines, end = _Lines(), "\r\n" if has_returns else "\n"
    csv.writer(lines, lineterminator=end, delimiter=delimiter).writerows(rows)
    if lines[0].startswith(BOM):
        first = rows[0][0]
        lines[0] = f'"{first}"{lines[0].removeprefix(first)}'
    return "\n".join([*(line.removesuffix(end) for line in lines), ""]) if has_returns else "".join(lines)


def as_number(text: str) -> Number | None:
    """The exact number in a cell, with equal value and hash for `7`, `7.0` and `07`; None if it is not a number."""
    if "_" in text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


class Positions:
    """Finds the position of an id in a list of ids: by its text, else by its number where only one id has it."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._by_text = {name: index for index, name in enumerate(ids)}
        self._by_number: dict[Number, int | None] | None = None

    @property
    def unique(self) -> bool:
        """No id occurs twice."""
        return len(self._by_text) == len(self._ids)

    def find(self, name: str) -> int | None:
        """The position of an id, or None."""
        index = self._by_text.get(name)
        if index is None and (number := as_number(name)) is not None:
            index = self._numbers().get(number)
        return index

    def _numbers(self) -> dict[Number, int | None]:
        """Positions by number; None for a number that several ids have."""
        if self._by_number is None:
            self._by_number = {}
            for index, name in enumerate(self._ids):
                if (number := as_number(name)) is not None:
                    self._by_number[number] = None if number in self._by_number else index
        return self._by_number


_MISSING = frozenset(
    ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "#N/A", "<NA>", "#NA", "#N/A N/A", "-nan", "-NaN"]
)
_TRUTH = {"true": 1.0, "false": 0.0}


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or a word for a missing value, as pandas and R write it."""
    return cell.strip() in _MISSING


def is_boolean_word(cell: str) -> bool:
    """Whether pandas reads this cell as a boolean: true or false in any case, without spaces."""
    return cell.lower() in _TRUTH


def as_boolean(cell: str) -> bool | None:
    """The boolean in a cell: true or false in any case, or a number equal to 1 or 0. None if it is neither."""
    if is_boolean_word(cell):
        return bool(_TRUTH[cell.lower()])
    value = as_number(cell)
    return None if value not in (0, 1) else bool(value)


def number(cell: str) -> float:
    """The number in a cell: NaN for a missing value, 1 and 0 for true and false. Raises ValueError."""
    try:
        if "_" not in cell:  # only Python reads 1_0 as ten
            return float(cell)
    except ValueError:
        pass
    if is_missing(cell):
        return math.nan
    if (truth := _TRUTH.get(cell.strip().lower())) is not None:
        return truth
    raise ValueError(cell)
