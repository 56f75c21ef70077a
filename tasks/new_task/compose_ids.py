"""Recognise ids of a sample submission that join columns of the test table, such as `1_12_2024-05-01` of shop, item
and day."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product

from tasks.io.columns import Columns

SEPARATORS = ("_", "-", "|", ":", "/", ",", " ")
MAX_PARTS, MAX_TRIALS = 5, 50
"""Columns that an id joins, and ways to choose them where columns have the same cells."""


def composing_columns(ids: Sequence[str], test: Columns) -> tuple[tuple[str, ...], str]:
    """The columns of test that the ids join, and the separator; empty if they join none."""
    wanted = set(ids)
    for separator in SEPARATORS:
        rows = [name.split(separator) for name in ids]
        if not 2 <= len(rows[0]) <= MAX_PARTS or any(len(row) != len(rows[0]) for row in rows):
            continue
        parts = [set(part) for part in zip(*rows, strict=True)]
        kinds = {name: set(test.column(name)) for name in test.header}
        fitting = [[name for name, kind in kinds.items() if kind == part] for part in parts]
        for names in islice(product(*fitting), MAX_TRIALS):
            if set(composed(test, names, separator)) == wanted:
                return names, separator
    return (), ""


def composed(table: Columns, names: Sequence[str], separator: str) -> list[str]:
    """The cells of these columns, joined row by row."""
    return [separator.join(cells) for cells in zip(*map(table.column, names), strict=True)]


def with_composed(table: Columns, name: str, names: Sequence[str], separator: str) -> Columns:
    """The table with a first column of joined cells, if it has all columns to join."""
    if not set(names) <= set(table.header) or name in table.header:
        return table
    return Columns([name, *table.header], [composed(table, names, separator), *map(table.column, table.header)])
