"""CSV files as text: cells go in and out unchanged, nothing is taken for a number, a date or a missing value.

TableError      a file that cannot be read as a table; the message names file and line
"""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial as partial_of
from pathlib import Path
from typing import Any, TextIO

from tasks.io.atomic import open_durable

CELL_CAP = 100_000_000
ROWS_AT_ONCE = 500
"""Rows handled together. More are slower: the garbage collector rescans waiting rows (at 100,000, 3 times slower)."""
BOM = "\ufeff"
Row = list[str]
Number = int | Decimal


class TableError(Exception):
    """A file cannot be read as a table; the message names the file and the line."""


def iter_rows(stream: TextIO, name: str, delimiter: str = ",") -> Iterator[tuple[int, Row]]:
    """Line number and cells of each row of an open CSV, header first; blank lines are passed over.

    Raises `TableError` for a row that is longer or shorter than the header.
    """
    reader = _reader(stream, delimiter)
    for row in _even(reader, name):
        yield reader.line_num, row


def _reader(stream: TextIO, delimiter: str = ",") -> Any:
    csv.field_size_limit(CELL_CAP)
    return csv.reader(stream, delimiter=delimiter)


def _even(reader: Any, name: str) -> Iterator[Row]:
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


def read_header(path: Path) -> Row:
    """The column names of a CSV; empty for an empty file. Raises `TableError`, OSError."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        for _, row in iter_rows(stream, path.name):
            return row
    return []


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV as text, header first, bytes that are not UTF-8 kept. Raises `TableError`, OSError."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield from _even(_reader(stream), path.name)


def write_rows(path: Path, rows: Iterable[Sequence[str]], mode: int = 0o644, delimiter: str = ",") -> None:
    """Write rows (header first) whole and durable, replacing `path` at once."""
    with open_writer(path, mode, delimiter) as write:
        write(rows)


@contextlib.contextmanager
def open_writer(
    path: Path, mode: int = 0o644, delimiter: str = ","
) -> Iterator[Callable[[Iterable[Sequence[str]]], None]]:
    """A function that writes rows, some at a time; the file appears whole and durable at the end, or not at all."""
    with open_durable(path, mode) as stream:
        yield partial_of(_write, stream, delimiter)


def _write(stream: TextIO, delimiter: str, rows: Iterable[Sequence[str]]) -> None:
    """Write rows as CSV, at a fifth of the usual cost those in which no cell needs quotes."""
    waiting = iter(rows)
    while some := list(itertools.islice(waiting, ROWS_AT_ONCE)):
        text = "\n".join(map(delimiter.join, some)) + "\n"
        inner = sum(map(len, some)) - len(some)
        is_even = text.count("\n") == len(some) and text.count(delimiter) == inner and min(map(len, some)) > 1
        stream.write(text if is_even and is_plain(text) else _quoted(some, delimiter, "\r" in text))


def is_plain(text: str) -> bool:
    """Nothing in it means more to a reader of CSV than itself, but for delimiters and ends of lines."""
    return '"' not in text and "\r" not in text and not text.startswith(BOM)


class _Lines(list[str]):
    """What a writer of CSV writes to: it hands over a row at a time."""

    write = list.append


def _quoted(rows: Sequence[Sequence[str]], delimiter: str, has_returns: bool) -> str:
    """Rows with quotes where they are needed: where Python's writer puts them, and around two kinds of cells more.

    A lone carriage return has none unless one ends the lines, and its reader would begin another row there. A first
    cell that begins with a byte order mark has none either, and the mark would be taken for the file's.
    """
    lines, end = _Lines(), "\r\n" if has_returns else "\n"
    csv.writer(lines, lineterminator=end, delimiter=delimiter).writerows(rows)
    if lines[0].startswith(BOM):
        first = rows[0][0]
        lines[0] = f'"{first}"{lines[0].removeprefix(first)}'
    return "\n".join([*(line.removesuffix(end) for line in lines), ""]) if has_returns else "".join(lines)


def as_number(text: str) -> Number | None:
    """The exact number a cell holds, equal and of equal hash for `7`, `7.0` and `07`; None if it is none."""
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
    """Where each id stands in a list of ids: found as text, then as a number where that is unambiguous."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._by_text = {name: place for place, name in enumerate(ids)}
        self._by_number: dict[Number, int | None] | None = None

    @property
    def unique(self) -> bool:
        """No id occurs twice."""
        return len(self._by_text) == len(self._ids)

    def find(self, name: str) -> int | None:
        """The position of an id, or None."""
        place = self._by_text.get(name)
        if place is None and (number := as_number(name)) is not None:
            place = self._numbers().get(number)
        return place

    def _numbers(self) -> dict[Number, int | None]:
        if self._by_number is None:
            self._by_number = {}
            for place, name in enumerate(self._ids):
                if (number := as_number(name)) is not None:
                    self._by_number[number] = None if number in self._by_number else place
        return self._by_number
