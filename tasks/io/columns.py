"""Tables stored by column, as text, so that a million rows are processed without a list for each row.

If no cell of a file is quoted, its lines are kept too and written again without joining cells.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.io.atomic import open_durable
from tasks.io.csv_text import BOM, MAX_CELL_CHARS, ROWS_AT_ONCE, Row, is_plain, read_rows, write_rows

_NO_SEPARATORS = bytes(set(range(256)) - set(b",\n"))
ARRAY_ROWS = 10_000
"""From this many rows on, NumPy selects cells in a quarter of the time."""


class Columns:
    """The cells of a table, one list per column.

    `take` selects and reorders rows lazily: a column is copied only when it is read.
    """

    def __init__(self, header: Sequence[str], columns: Sequence[list[str]], lines: list[str] | None = None) -> None:
        self.header = list(header)
        self._columns: dict[int, list[str]] = dict(enumerate(columns))
        self._lines = lines
        self._numbers: dict[str, Any] = {}
        self._source: Columns | None = None
        self._rows: Sequence[int] = range(len(columns[0]) if columns else 0)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Columns:
        """The table of rows, header first; without rows, a table without columns."""
        remaining = iter(rows)
        header = next(remaining, [])
        columns: list[list[str]] = [[] for _ in header]
        while some := list(itertools.islice(remaining, ROWS_AT_ONCE)):
            for column, cells in zip(columns, zip(*some, strict=True), strict=True):
                column.extend(cells)
        return cls(header, columns)

    def __len__(self) -> int:
        return len(self._rows)

    def column(self, name: str) -> list[str]:
        """The cells of a column (the first of that name). Raises ValueError if there is none."""
        return self.column_at(self.header.index(name))

    def column_at(self, index: int) -> list[str]:
        """The cells of the column at a position of the header."""
        if index not in self._columns:
            assert self._source is not None
            self._columns[index] = _select(self._source.column_at(index), self._rows)
        return self._columns[index]

    def lines(self) -> list[str] | None:
        """The rows as lines of the file; None if a cell may be quoted."""
        if self._source is None:
            return self._lines
        lines = self._source.lines()
        return None if lines is None else _select(lines, self._rows)

    def numbers(self, name: str) -> Any:
        """A column as numbers (float64), or None if a cell is not a plain number."""
        if name not in self._numbers:
            known = self._source._numbers.get(name) if self._source else None
            self._numbers[name] = (
                parse_numbers(self.column(name)) if known is None else _select_array(known, self._rows)
            )
        return self._numbers[name]

    def take(self, rows: Sequence[int]) -> Columns:
        """The rows with these numbers, in this order."""
        selection = Columns(self.header, ())
        selection._source, selection._rows = self, rows
        return selection

    def with_column(self, name: str, cells: list[str]) -> Columns:
        """The same table with other cells in one column."""
        changed = self.header.index(name)
        columns = [cells if index == changed else self.column_at(index) for index in range(len(self.header))]
        return Columns(self.header, columns)

    def rows(self) -> list[Row]:
        """The table as rows, header first."""
        return [self.header, *map(list, zip(*map(self.column_at, range(len(self.header))), strict=True))]


def parse_numbers(cells: Sequence[str]) -> array[float] | None:
    """The number in each cell; None if any cell is not a plain number (see `validate_submission.number`)."""
    try:
        values = array("d", map(float, cells))
    except ValueError:
        return None
    return None if "_" in "".join(cells) else values  # only Python reads 1_0 as ten


def parse_unquoted(data: bytes, text: str) -> Columns | None:
    """The table in a file's bytes (`text` is the same, decoded); None if a cell is quoted or rows differ in width."""
    text = text.removeprefix(BOM)
    lines = text.removesuffix("\n").split("\n")
    width = lines[0].count(",") + 1
    separators = data.translate(None, _NO_SEPARATORS).removesuffix(b"\n") + b"\n"
    if separators != (b"," * (width - 1) + b"\n") * len(lines) or not is_plain(text):
        return None
    if "" in lines if width == 1 else len(text) > MAX_CELL_CHARS and max(map(len, lines)) > MAX_CELL_CHARS:
        return None
    header = lines[0].split(",")
    if width == 1:
        return Columns(header, [lines[1:]], lines[1:])
    cells = text.removesuffix("\n").replace("\n", ",").split(",")
    del lines[0], cells[:width]
    return Columns(header, [cells[index::width] for index in range(width)], lines)


def read_columns(path: Path) -> Columns:
    """A CSV as text, bytes that are not UTF-8 kept. Raises `csv_text.TableError`, OSError."""
    data = path.read_bytes()
    table = parse_unquoted(data, data.decode("utf-8", "surrogateescape"))
    return Columns.of(read_rows(path)) if table is None else table


def write_columns(path: Path, table: Columns, mode: int = 0o644) -> None:
    """Write a table to a file that replaces `path` at once and is synced to disk."""
    lines = table.lines()
    if lines is None:
        columns = [table.column_at(index) for index in range(len(table.header))]
        write_rows(path, itertools.chain([table.header], zip(*columns, strict=True)), mode)
        return
    with open_durable(path, mode) as stream:
        stream.write("\n".join([",".join(table.header), *lines, ""]))


def _select(cells: list[str], rows: Sequence[int]) -> list[str]:
    if len(rows) < ARRAY_ROWS:
        return list(map(cells.__getitem__, rows))
    import numpy as np

    selected: list[str] = np.array(cells, dtype=object)[np.asarray(rows, dtype=np.int64)].tolist()
    return selected


def _select_array(values: Any, rows: Sequence[int]) -> Any:
    import numpy as np

    return np.asarray(values)[np.asarray(rows, dtype=np.int64)]
