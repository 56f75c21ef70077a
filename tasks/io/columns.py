"""Tables by columns, as text: a million rows are read, checked, cut and written without a list for each of them.

Where no cell is quoted the lines of the file are kept as well, and rows are written again as they stand.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.io.atomic import open_durable
from tasks.io.csv_text import CELL_CAP, ROWS_AT_ONCE, Row, is_plain, read_rows, write_rows

_OTHERS = bytes(set(range(256)) - set(b",\n"))
BOM = "\ufeff"
MANY = 10_000
"""From so many rows on, arrays pick cells in a quarter of the time."""


class Columns:
    """The cells of a table, a list a column.

    `taken` gives rows in another order, or some of them; nothing is copied before it is asked for.
    """

    def __init__(self, header: Sequence[str], columns: Sequence[list[str]], lines: list[str] | None = None) -> None:
        self.header = list(header)
        self._known: dict[int, list[str]] = dict(enumerate(columns))
        self._lines = lines
        self._numbers: dict[str, Any] = {}
        self._whole: Columns | None = None
        self._at: Sequence[int] = range(len(columns[0]) if columns else 0)

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Columns:
        """The table of rows, header first; without any, a table without columns."""
        remaining = iter(rows)
        header = next(remaining, [])
        columns: list[list[str]] = [[] for _ in header]
        while some := list(itertools.islice(remaining, ROWS_AT_ONCE)):
            for column, cells in zip(columns, zip(*some, strict=True), strict=True):
                column.extend(cells)
        return cls(header, columns)

    def __len__(self) -> int:
        return len(self._at)

    def column(self, name: str) -> list[str]:
        """The cells of a column (the first of that name). Raises ValueError where there is none."""
        return self.column_at(self.header.index(name))

    def column_at(self, place: int) -> list[str]:
        if place not in self._known:
            assert self._whole is not None
            self._known[place] = _picked(self._whole.column_at(place), self._at)
        return self._known[place]

    def lines(self) -> list[str] | None:
        """The rows as they stand in the file; None where a cell may be quoted."""
        if self._whole is None:
            return self._lines
        lines = self._whole.lines()
        return None if lines is None else _picked(lines, self._at)

    def numbers(self, name: str) -> Any:
        """A column's numbers (float64), where all its cells are plainly written ones; else None."""
        if name not in self._numbers:
            known = self._whole._numbers.get(name) if self._whole else None
            self._numbers[name] = parse_numbers(self.column(name)) if known is None else _numbers_at(known, self._at)
        return self._numbers[name]

    def take(self, at: Sequence[int]) -> Columns:
        """These rows, in this order."""
        part = Columns(self.header, ())
        part._whole, part._at = self, at
        return part

    def with_column(self, name: str, cells: list[str]) -> Columns:
        """The same table with other cells in a column."""
        place = self.header.index(name)
        return Columns(self.header, [cells if at == place else self.column_at(at) for at in range(len(self.header))])

    def rows(self) -> list[Row]:
        """The table as rows, header first."""
        return [self.header, *map(list, zip(*map(self.column_at, range(len(self.header))), strict=True))]


def parse_numbers(cells: Sequence[str]) -> array[float] | None:
    """`checking.number` of each cell where all are written as plain numbers, a million in no time; else None."""
    try:
        values = array("d", map(float, cells))
    except ValueError:
        return None
    return None if "_" in "".join(cells) else values  # Python reads 1_0 as ten; nobody else does


def parse_unquoted(data: bytes, text: str) -> Columns | None:
    """The table in a file's bytes (`text`, decoded) if no cell is quoted and all lines are of one width; else None."""
    text = text.removeprefix(BOM)
    lines = text.removesuffix("\n").split("\n")
    width = lines[0].count(",") + 1
    separators = data.translate(None, _OTHERS).removesuffix(b"\n") + b"\n"
    if separators != (b"," * (width - 1) + b"\n") * len(lines) or not is_plain(text):
        return None
    if "" in lines if width == 1 else len(text) > CELL_CAP and max(map(len, lines)) > CELL_CAP:
        return None
    header = lines[0].split(",")
    if width == 1:
        return Columns(header, [lines[1:]], lines[1:])
    cells = text.removesuffix("\n").replace("\n", ",").split(",")
    del lines[0], cells[:width]
    return Columns(header, [cells[at::width] for at in range(width)], lines)


def read_columns(path: Path) -> Columns:
    """A CSV as text, bytes that are not UTF-8 kept. Raises `cells.TableError`, OSError."""
    data = path.read_bytes()
    plain = parse_unquoted(data, data.decode("utf-8", "surrogateescape"))
    return Columns.of(read_rows(path)) if plain is None else plain


def write_columns(path: Path, table: Columns, mode: int = 0o644) -> None:
    """Write a table whole and durable, as `cells.write_rows` does."""
    lines = table.lines()
    if lines is None:
        columns = [table.column_at(index) for index in range(len(table.header))]
        write_rows(path, itertools.chain([table.header], zip(*columns, strict=True)), mode)
        return
    with open_durable(path, mode) as stream:
        stream.write("\n".join([",".join(table.header), *lines, ""]))


def _picked(cells: list[str], at: Sequence[int]) -> list[str]:
    if len(at) < MANY:
        return list(map(cells.__getitem__, at))
    import numpy as np

    picked: list[str] = np.array(cells, dtype=object)[np.asarray(at, dtype=np.int64)].tolist()
    return picked


def _numbers_at(values: Any, at: Sequence[int]) -> Any:
    import numpy as np

    return np.asarray(values)[np.asarray(at, dtype=np.int64)]
