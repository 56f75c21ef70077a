"""Read a table of any common format as columns of text, with a header of distinct names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tasks.errors import TaskError
from tasks.io.columns import Columns
from tasks.io.csv_text import as_number, is_missing
from tasks.new_task.decode_text import WIDE, decode_text
from tasks.new_task.numbers_with_commas import with_points
from tasks.new_task.request import Findings
from tasks.new_task.text_tables import SEPARATORS, read_text_table, told_title
from tasks.new_task.typed_tables import (
    MAX_WORKBOOK_BYTES,
    read_excel,
    read_json,
    read_json_lines,
    read_parquet,
    too_large_workbook,
)
from tasks.new_task.unpack import read_content

JSON_LINES = ("jsonl", "ndjson", "jsonlines")
EXCEL = ("xlsx", "xlsm", "xls", "ods")
HEADER_ROWS_PROBED = 30
MIN_NAMES = 2
"""Words above numbers in all columns of numbers, at least so many, are a second row of the header."""


def read_table(path: Path, findings: Findings, wanted: Sequence[str] = ()) -> Columns:
    """Read a table. `wanted` are column names that options name. Raises TaskError."""
    file, _, sheet = str(path).partition("!") if not path.exists() else (str(path), "", "")
    is_workbook = file.rpartition(".")[2].lower() in EXCEL
    if is_workbook and Path(file).is_file() and Path(file).stat().st_size > MAX_WORKBOOK_BYTES:
        raise TaskError(too_large_workbook(str(path), Path(file).stat().st_size))
    content = read_content(Path(file) if is_workbook else path)
    table = _parse(content.name, content.data, str(path), sheet if is_workbook else "", findings, wanted)
    if not table.header or not len(table):
        raise TaskError(f"{path}: has no rows below its header. Give a table with a header and one row per example.")
    table = _without_row_numbers(_without_spaces(_without_headers(table, findings), findings), findings)
    table = _without_title(_without_empty_columns(table, findings), str(path), findings)
    _check_header(path, table)
    return table


def _parse(name: str, data: bytes, shown: str, sheet: str, findings: Findings, wanted: Sequence[str]) -> Columns:
    suffix = name.lower().rpartition(".")[2]
    if data.startswith(b"PAR1"):
        return read_parquet(data, shown)
    if suffix in EXCEL:
        table, fact = read_excel(data, shown, sheet)
        findings.facts += [fact] if fact else []
        return table
    if suffix in JSON_LINES:
        return read_json_lines(decode_text(data, shown, findings), shown)
    if suffix == "json" or data.lstrip()[:2] in (b"[{", b"[\n", b"[ "):
        return read_json(decode_text(data, shown, findings), shown)
    if b"\0" in data[:4096] and not data.startswith(tuple(WIDE)):
        raise TaskError(f"{shown}: is not a table that can be read. Save it as CSV, TSV, JSON, Parquet or Excel.")
    table, separator = read_text_table(data, name, shown, findings, wanted)
    if separator != ",":
        findings.facts.append(f"{SEPARATORS[separator]} separate the cells of {name}")
        table, changed = with_points(table)
        if changed:
            findings.facts.append(f"decimal commas became points in {_first(changed)}")
    return table


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _without_headers(table: Columns, findings: Findings) -> Columns:
    """The table without rows that repeat the header, as joined files have them."""
    places = [row for row, cell in enumerate(table.column_at(0)) if cell == table.header[0]]
    columns = [table.column_at(index) for index in range(len(table.header))] if places else []
    repeated = {row for row in places if [column[row] for column in columns] == table.header}
    if not repeated:
        return table
    findings.facts.append(f"left out {len(repeated)} rows that repeat the header")
    return table.take([row for row in range(len(table)) if row not in repeated])


def _without_spaces(table: Columns, findings: Findings) -> Columns:
    """The table without spaces around the names of its columns."""
    names = [name.strip() for name in table.header]
    if names == table.header or len(set(names)) < len(names):
        return table
    findings.facts.append("left out spaces around the names of columns")
    return Columns(names, [table.column_at(index) for index in range(len(names))])


def _without_row_numbers(table: Columns, findings: Findings) -> Columns:
    """The table without a first column that has no name and counts the rows, as pandas and R write it."""
    if len(table.header) < 2 or table.header[0] not in ("", "Unnamed: 0"):
        return table
    numbers = table.numbers(table.header[0])
    if numbers is None or any(after - before != 1 for before, after in pairwise(numbers)):
        return table
    findings.facts.append("left out the first column, which has no name and counts the rows")
    return Columns(table.header[1:], [table.column_at(index) for index in range(1, len(table.header))])


def _without_empty_columns(table: Columns, findings: Findings) -> Columns:
    """The table without columns that have neither a name nor cells, as a separator at the end of each row makes."""
    columns = [table.column_at(index) for index in range(len(table.header))]
    kept = [place for place, name in enumerate(table.header) if name.strip() or any(map(str.strip, columns[place]))]
    if len(kept) == len(columns) or not kept:
        return table
    findings.facts.append(f"left out {len(columns) - len(kept)} columns that have neither a name nor cells")
    return Columns([table.header[place] for place in kept], [columns[place] for place in kept])


def _without_title(table: Columns, shown: str, findings: Findings) -> Columns:
    """The table below the first row of names, where the rows above it have a cell at their start at most."""
    if len(table.header) < 2 or any(name.strip() for name in table.header[1:]):
        return table
    columns = [table.column_at(index)[:HEADER_ROWS_PROBED] for index in range(len(table.header))]
    rows = list(zip(*columns, strict=True))
    place = next((place for place, row in enumerate(rows) if any(cell.strip() for cell in row[1:])), len(rows))
    names = [cell.strip() for cell in rows[place]] if place < len(rows) else [""]
    if not all(names) or len(set(names)) < len(names) or any(as_number(name) is not None for name in names):
        return table
    findings.guesses.append(told_title(shown, [table.header[0], *(row[0] for row in rows[:place])]))
    return Columns(names, [table.column_at(index)[place + 1 :] for index in range(len(names))])


def _check_header(path: Path, table: Columns) -> None:
    """Refuse a header that is not one row of names."""
    unnamed = [index for index, name in enumerate(table.header) if not name.strip()]
    digits = [name for name in table.header if as_number(name) is not None]
    are_names = len(set(digits)) == len(digits) and all(name.strip().isdigit() for name in digits)  # pixels, years
    if len(digits) > len(table.header) / 2 and not are_names:
        raise TaskError(
            f"{path}: its first row contains numbers such as {digits[0]}, so it is not a header. Add a row of "
            "names above it."
        )
    words, numbers = _count_words_above_numbers(table)
    if (unnamed and words) or (words >= MIN_NAMES and words == numbers):
        empty = f"cell {unnamed[0] + 1} of the first row is empty, and " if unnamed else ""
        raise TaskError(
            f"{path}: its header takes more than one row ({empty}the second row has words above numbers), as merged "
            "cells and units do. Save it with one row of names."
        )
    if not unnamed:
        return
    raise TaskError(f"{path}: column {unnamed[0] + 1} has no name. Give each column a name in the first row.")


def _count_words_above_numbers(table: Columns) -> tuple[int, int]:
    """In how many columns the first row has a word above numbers, and how many columns have numbers below it."""
    words = numbers = 0
    for index in range(len(table.header)):
        first, *others = table.column_at(index)[:HEADER_ROWS_PROBED]
        known = [cell for cell in others if not is_missing(cell)]
        if known and all(as_number(cell) is not None for cell in known):
            numbers += 1
            words += any(letter.isalpha() for letter in first) and as_number(first) is None and not is_missing(first)
    return words, numbers
