"""Rewrite numbers with a decimal comma (`0,5`, `1.234,50`) with a decimal point."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.io.columns import Columns
from tasks.io.csv_text import as_number, is_missing

DECIMAL_COMMA = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")
WITH_COMMA = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?|[-+]?\d+,\d+")
"""Numbers with commas, which no metric parses: 1,234.5 and 0,5."""


def with_points(table: Columns) -> tuple[Columns, list[str]]:
    """The table with decimal points in each column of numbers with decimal commas, and the names of these columns."""
    changed: dict[int, list[str]] = {}
    for index in range(len(table.header)):
        cells = table.column_at(index)
        if (rewritten := rewrite_commas(cells)) is not None:
            changed[index] = rewritten
    columns = [changed.get(index) or table.column_at(index) for index in range(len(table.header))]
    return Columns(table.header, columns) if changed else table, [table.header[index] for index in changed]


def rewrite_commas(cells: Sequence[str]) -> list[str] | None:
    """The cells with decimal points; None unless all are numbers and some have a decimal comma."""
    known = {cell for cell in set(cells) if not is_missing(cell)}
    if not any("," in cell for cell in known) or not all(DECIMAL_COMMA.fullmatch(cell.strip()) for cell in known):
        return None
    point = {cell: cell.replace(".", "").replace(",", ".") for cell in known}
    return [point.get(cell, cell) for cell in cells]


def rewrite_numbers(cells: Sequence[str]) -> tuple[list[str], str]:
    """The cells as plain numbers, from `1,234.5`, `0,5`, `$ 12`, `12 %`, `(12)`; and the first that is not a number."""
    known = {cell for cell in set(cells) if not is_missing(cell)}
    bare = {cell: re.sub(r"[\s$€£¥%]|(?<=\d)['_](?=\d)", "", cell) for cell in known}
    bare = {cell: re.sub(r"\(([\d.,]+)\)", r"-\1", text) for cell, text in bare.items()}  # accountants' (12) is -12
    if all(THOUSANDS.fullmatch(text) or as_number(text) is not None for text in bare.values()):
        plain = {cell: text.replace(",", "") for cell, text in bare.items()}
    elif all(DECIMAL_COMMA.fullmatch(text) for text in bare.values()):
        plain = {cell: text.replace(".", "").replace(",", ".") for cell, text in bare.items()}
    else:
        plain = bare
    wrong = sorted(cell for cell, text in plain.items() if as_number(text) is None)
    return [plain.get(cell, "") for cell in cells], wrong[0] if wrong else ""
