"""Advice about columns that may matter for the split or give the target away; nothing is changed by it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tasks.io.columns import Columns
from tasks.io.csv_text import is_missing
from tasks.new_task.column_types import Column
from tasks.new_task.request import TaskRequest

TIME_NAME = re.compile(r"\b(year|date|datetime|timestamp|month|week|day|time|period)\b", re.IGNORECASE)
MIN_GROUPS = 20
_SEPARATORS = (";", "|", ",")


def advice_on(
    table: Columns, id_name: str, columns: Mapping[str, Column], targets: Sequence[str], request: TaskRequest
) -> Iterator[str]:
    """Sentences about options to consider. A column is judged by its cells that are not empty."""
    used = {id_name, request.group, request.time, *targets}
    features = [column for name, column in columns.items() if name not in used]
    if not features:
        yield f"there is no column to predict {', '.join(targets)} from"
    if copies := _count_copies(table, id_name):
        are = "row is a copy of another" if copies == 1 else "rows are copies of others"
        yield f"{copies:,} {are}, and copies may end up on both sides of a split"
    for column in features:
        if not column.distinct:
            continue
        if request.time is None and _is_time(column):
            yield f"{column.name} looks like a time; if the model will predict later rows, use --time {column.name}"
        elif request.group is None and _repeats(column, len(table)):
            yield (
                f"{column.name} has repeated values; if rows with one value belong together, use --group {column.name}"
            )
    for name in targets if request.separator is None else ():
        if separator := _separator_in(table.column(name), columns.get(name)):
            yield f"{name} may have several labels in a cell; if so, use --split-labels '{separator}'"


def _count_copies(table: Columns, id_name: str) -> int:
    """How many rows are equal to others in everything but their id."""
    columns = [table.column(name) for name in table.header if name != id_name]
    return len(table) - len(set(map(hash, zip(*columns, strict=True))))


def _is_time(column: Column) -> bool:
    if column.kind == "time":
        return True
    is_year = column.kind == "number" and column.is_whole and 1800 <= column.low < column.high <= 2100
    return is_year and TIME_NAME.search(column.name.replace("_", " ")) is not None


def _repeats(column: Column, rows: int) -> bool:
    return column.kind == "category" and MIN_GROUPS < column.distinct <= rows / 2


def _separator_in(cells: Sequence[str], column: Column | None) -> str:
    """A text between labels, if a few labels in many combinations explain the cells."""
    if column is not None and column.kind != "category":
        return ""
    kinds = {cell for cell in set(cells) if not is_missing(cell)}
    if kinds and all(kind.strip()[:1] == "[" and kind.strip()[-1:] == "]" for kind in kinds):
        return ","
    for separator in _SEPARATORS:
        joined = [kind for kind in kinds if separator in kind]
        members = {part.strip() for kind in kinds for part in kind.split(separator)}
        if len(joined) > len(kinds) / 2 and 2 < len(members) < len(kinds):
            return separator
    return ""
