"""What no task can be made of: a table that no run would read, a target that no metric could judge.

Each mistake is told in a sentence that says what to change.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from tasks.config.yaml_with_lines import TaskError
from tasks.io.csv_text import Row, TableError, as_number, iter_rows, read_rows
from tasks.metrics.registry import METRICS
from tasks.metrics.target_columns import ValueKind

SEPARATORS = ((";", "semicolons"), ("\t", "tabs"), ("|", "bars"))
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?|[-+]?\d+,\d+")
"""Numbers that only people read as such: 1,234.5 and 0,5."""
ANSWERS: dict[ValueKind, tuple[str, Callable[[float], bool]]] = {
    "binary": ("0 and 1", (0.0, 1.0).__contains__),
    "whole": ("whole numbers", float.is_integer),
    "non_negative": ("numbers from 0 up", lambda number: number >= 0),
    "probabilities": ("numbers from 0 to 1", lambda number: 0 <= number <= 1),
    "numbers": ("numbers", math.isfinite),
}
"""The answers a metric accepts: in words, and as a check."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(data: Path, target: str) -> tuple[Row, list[Row]]:
    """Header and rows. Raises TaskError."""
    try:
        _check_words(data)
        _check_separator(data, target)  # before any row: decimal commas would make a row too long the complaint
        header, *rows = list(read_rows(data)) or [[]]
    except (TableError, OSError, UnicodeError) as error:
        raise TaskError(f"{data}: cannot be read as a table ({error}). Give a CSV file with a header.") from None
    return header, rows


def _check_words(data: Path) -> None:
    """Refuse bytes that are not UTF-8 before a task is made of them that no run would read."""
    content = data.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        kind = "UTF-16" if content.startswith(UTF_16) else "LATIN1"
        raise TaskError(
            f"{data}: line {line} is not UTF-8 text. Convert the file, as with `iconv -f {kind} -t UTF-8`."
        ) from None


def _check_separator(data: Path, target: str) -> None:
    with_commas = _header_by(data, ",")
    for mark, name in SEPARATORS:
        header = _header_by(data, mark)
        is_better = len(with_commas) == 1 or (target in header and target not in with_commas)
        if len(header) > 1 and is_better:
            raise TaskError(f"{data}: is separated by {name}. Write it with commas.")


def _header_by(data: Path, mark: str) -> Row:
    with data.open(encoding="utf-8-sig", newline="") as stream:
        return next((row for _, row in iter_rows(stream, data.name, mark)), [])


def check_columns(data: Path, header: Row, named: Mapping[str, str | None]) -> None:
    """Refuse a header in which a column cannot be told by its name; `named` are options and the columns they name."""
    if twice := [column for column, count in Counter(header).items() if count > 1]:
        raise TaskError(f"{data}: {twice[0]!r} heads more than one column. Give each a name of its own.")
    for option, column in named.items():
        if column is not None and column not in header:
            has = ", ".join(header[:20]) or "no columns"
            raise TaskError(f"{data}: {option} {column} is not one of its columns: {has}.")
    if len(header) == 1:
        raise TaskError(f"{data}: holds {header[0]} alone: there is nothing to predict it from.")


def check_target(data: Path, target: str, kinds: Collection[str]) -> None:
    """Refuse a target that no solution could be judged on; `kinds` are its different cells."""
    if len(kinds) == 1:
        raise TaskError(f"{data}: {target} is {min(kinds)!r} in every row: there is nothing to predict.")
    if not all(THOUSANDS.fullmatch(cell) or as_number(cell) is not None for cell in kinds):
        return
    if commas := sorted(cell for cell in kinds if "," in cell):
        raise TaskError(
            f"{data}: {target} holds numbers with commas, as {commas[0]!r}, "
            "which no metric reads as numbers. Write them plain, as 1234.5."
        )
    if vast := sorted(cell for cell in kinds if math.isinf(float(cell))):
        raise TaskError(f"{data}: {target} is {vast[0][:20]} in some row, which is too large a number to be judged on.")


def check_metric(data: Path, target: str, metric: str, kinds: Collection[str]) -> None:
    """Refuse a metric that cannot be computed on the target's cells, whatever is predicted."""
    kind = METRICS[metric].answers
    if kind == "any":
        return
    takes, fits = ANSWERS[kind]
    if wrong := [cell for cell in kinds if as_number(cell) is None or not fits(float(cell))]:
        raise TaskError(f"{data}: --metric {metric} takes {takes}, and {target} is {min(wrong)[:40]!r} in some row.")


def can_be_scored(metric: str, cells: Sequence[str]) -> bool:
    """Whether a metric has a value where these are the answers."""
    return not METRICS[metric].needs_varied_answers or len({as_number(cell) for cell in cells}) > 1
