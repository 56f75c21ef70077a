"""Refuse tables that cannot become a task: unreadable files, ambiguous columns, targets that no metric can score.

Each message says what to change.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tasks.errors import TaskError
from tasks.io.csv_text import Row, TableError, as_number, iter_rows, read_rows
from tasks.metrics.registry import METRICS
from tasks.metrics.target_columns import ValueKind

SEPARATORS = ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?|[-+]?\d+,\d+")
"""Numbers with commas, which no metric parses: 1,234.5 and 0,5."""
ANSWERS: dict[ValueKind, tuple[str, Callable[[float], bool]]] = {
    "binary": ("0 and 1", (0.0, 1.0).__contains__),
    "whole": ("whole numbers", float.is_integer),
    "non_negative": ("numbers from 0 up", lambda number: number >= 0),
    "probabilities": ("numbers from 0 to 1", lambda number: 0 <= number <= 1),
    "numbers": ("numbers", math.isfinite),
}
"""The answers a metric accepts, as a description and a check."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(data: Path, target: str) -> tuple[Row, list[Row]]:
    """Read header and rows. Raises TaskError."""
    try:
        _check_encoding(data)
        _check_separator(
            data, target
        )  # before rows are read: decimal commas would be reported as rows that are too long
        header, *rows = list(read_rows(data)) or [[]]
    except (TableError, OSError, UnicodeError) as error:
        raise TaskError(f"{data}: cannot be read as a table ({error}). Give a CSV file with a header.") from None
    return header, rows


def _check_encoding(data: Path) -> None:
    """Refuse a file that is not UTF-8: a run could not read it."""
    content = data.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        kind = "UTF-16" if content.startswith(UTF_16) else "LATIN1"
        raise TaskError(
            f"{data}: line {line} is not UTF-8 text. Convert the file, for example with `iconv -f {kind} -t UTF-8`."
        ) from None


def _check_separator(data: Path, target: str) -> None:
    with_commas = _header_with(data, ",")
    for separator, name in SEPARATORS:
        header = _header_with(data, separator)
        is_better = len(with_commas) == 1 or (target in header and target not in with_commas)
        if len(header) > 1 and is_better:
            raise TaskError(f"{data}: uses {name} as separators. Save it with commas.")


def _header_with(data: Path, separator: str) -> Row:
    with data.open(encoding="utf-8-sig", newline="") as stream:
        return next((row for _, row in iter_rows(stream, data.name, separator)), [])


def check_columns(data: Path, header: Row, named: Mapping[str, str | None]) -> None:
    """Refuse a header with repeated, missing or too few names; `named` maps options to the columns they name."""
    if repeated := [column for column, count in Counter(header).items() if count > 1]:
        raise TaskError(f"{data}: {repeated[0]!r} is the name of more than one column. Give each column its own name.")
    for option, column in named.items():
        if column is not None and column not in header:
            has = ", ".join(header[:20]) or "no columns"
            raise TaskError(f"{data}: {option} {column} is not a column. Its columns are: {has}.")
    if len(header) == 1:
        raise TaskError(f"{data}: has only the column {header[0]}: there is nothing to predict it from.")


def check_target(data: Path, target: str, kinds: Collection[str]) -> None:
    """Refuse a target that no metric can score; `kinds` are its distinct cells."""
    if len(kinds) == 1:
        raise TaskError(f"{data}: {target} is {min(kinds)!r} in every row: there is nothing to predict.")
    if not all(THOUSANDS.fullmatch(cell) or as_number(cell) is not None for cell in kinds):
        return
    if commas := sorted(cell for cell in kinds if "," in cell):
        raise TaskError(
            f"{data}: {target} contains numbers with commas, such as {commas[0]!r}, which no metric can "
            "parse. Write them as 1234.5."
        )
    if infinite := sorted(cell for cell in kinds if math.isinf(float(cell))):
        raise TaskError(f"{data}: {target} is {infinite[0][:20]} in some row, a number too large to be scored.")


def check_metric(data: Path, target: str, metric: str, kinds: Collection[str]) -> None:
    """Refuse a metric that cannot be computed on the target's cells, whatever is predicted."""
    kind = METRICS[metric].answers
    if kind == "any":
        return
    accepted, is_accepted = ANSWERS[kind]
    if wrong := [cell for cell in kinds if as_number(cell) is None or not is_accepted(float(cell))]:
        raise TaskError(f"{data}: --metric {metric} needs {accepted}, and {target} is {min(wrong)[:40]!r} in some row.")


def can_be_scored(metric: str, cells: Sequence[str]) -> bool:
    """Whether a metric is defined on these answers."""
    return not METRICS[metric].needs_varied_answers or len({as_number(cell) for cell in cells}) > 1
