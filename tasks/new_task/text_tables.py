"""Read delimited text (CSV, TSV, semicolons, bars) as columns of text; cells stay as written."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from tasks.errors import TaskError
from tasks.io.columns import Columns, parse_unquoted
from tasks.io.csv_text import MAX_CELL_CHARS, TableError, as_number, iter_rows
from tasks.new_task.decode_text import decode_text
from tasks.new_task.request import Findings

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ARROW_BYTES = 4 << 20
"""From this size on pyarrow reads the table, where it is installed: in a third of the time."""
PROBED_LINES = 20
HEADER_ROWS_PROBED = 10


def read_text_table(
    data: bytes, name: str, shown: str, findings: Findings, wanted: Sequence[str] = ()
) -> tuple[Columns, str]:
    """The table in a file's bytes, and the separator that was found. `shown` names the file in messages.

    `wanted` are names that the header should have. Raises TaskError.
    """
    decoded = decode_text(data, shown, findings)
    title = _title(decoded)
    if title:
        findings.guesses.append(told_title(shown, title))
    text = decoded[sum(map(len, title)) :]
    separator = _separator(text, name, wanted)
    try:
        return _read(text.encode(), text, name, separator), separator
    except (TableError, csv.Error) as error:
        raise TaskError(f"{shown}: cannot be read as a table ({error}). {_advice(text, separator)}") from None


def told_title(shown: str, lines: Sequence[str]) -> str:
    """The guess that the lines above the header are no rows of the table."""
    first = next(filter(None, (line.strip(' ,;|\t\r\n"') for line in lines)), "")
    return f"the header of {shown} is row {len(lines) + 1}, and rows above it are left out: {first[:60]!r}"


def _title(text: str) -> list[str]:
    """The lines above the header: the first rows have one cell under every separator, and stand above even rows of
    several cells, the first of them names."""
    probes = {separator: _probe(text, separator) for separator in SEPARATORS}
    if not all(rows and len(rows[0]) == 1 for rows in probes.values()):
        return []
    for separator, rows in probes.items():
        header = next((place for place, row in enumerate(rows) if len(row) > 1), 0)
        if 0 < header <= HEADER_ROWS_PROBED and _is_header(rows[header:]):
            return list(islice(io.StringIO(text, newline=""), _line_of(text, separator, header)))
    return []


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether these rows have the same number of cells, and the first one distinct names."""
    names = rows[0]
    are_names = all(cell.strip() and as_number(cell) is None for cell in names) and len(set(names)) == len(names)
    return len(rows) > 1 and {len(names)} == set(map(len, rows)) and are_names


def _line_of(text: str, separator: str, place: int) -> int:
    """How many lines are above the row at this place, of those that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    above = 0
    for row in reader:
        if row and not place:
            return above
        above, place = reader.line_num, place - bool(row)
    return above


def _advice(text: str, separator: str) -> str:
    """What to do about rows of different lengths: remove a title, close a quote, or fix the row."""
    rows = _probe(text, separator)
    widths = [len(row) for row in rows[:HEADER_ROWS_PROBED]]
    if widths and widths[0] < max(widths) == widths[-1]:
        header = rows[widths.index(max(widths))]
        if all(cell.strip() and as_number(cell) is None for cell in header):
            return f"The header seems to be the row that begins with {header[0][:40]!r}: remove what stands above it."
    for number, line in enumerate(text.splitlines(), 1):
        if line.count('"') % 2:
            return f"Line {number} has a quotation mark without a second one, which may be why: fix it."
    return "Fix that, or save it again as CSV."


def _separator(text: str, name: str, wanted: Sequence[str]) -> str:
    """The separator under which the header has the wanted names, else the one that divides the first rows evenly."""
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("tsv", "tab"):
        return "\t"
    probes = {separator: _probe(text, separator) for separator in SEPARATORS}
    fitting = [separator for separator, rows in probes.items() if wanted and rows and set(wanted) <= set(rows[0])]
    fitting = [separator for separator in fitting if len(probes[separator][0]) > 1] or fitting
    if len(fitting) == 1:
        return fitting[0]
    widths = {separator: Counter(map(len, rows)) for separator, rows in probes.items()}
    even = [separator for separator, counts in widths.items() if len(counts) == 1 and min(counts) > 1]
    if even:
        return max(even, key=lambda separator: (separator in fitting, max(widths[separator])))
    return max(SEPARATORS, key=lambda one: (one in fitting, len(probes[one][0]) if probes[one] else 0))


def _probe(text: str, separator: str) -> list[list[str]]:
    """The first rows under a separator."""
    end = 0
    for _ in range(PROBED_LINES):
        end = text.find("\n", end) + 1
        if not end:
            break
    rows = list(csv.reader(io.StringIO(text[: end or None], newline=""), delimiter=separator))
    return [row for row in rows if row]


def _read(data: bytes, text: str, name: str, separator: str) -> Columns:
    if len(data) >= ARROW_BYTES and (table := _read_with_arrow(data, separator)) is not None:
        return table
    if separator == "," and (table := parse_unquoted(data, text)) is not None:
        return table
    csv.field_size_limit(MAX_CELL_CHARS)
    stream = io.StringIO(text, newline="")
    return Columns.of(row for _, row in iter_rows(stream, name, separator))


def _read_with_arrow(data: bytes, separator: str) -> Columns | None:
    """The table as pandas reads it through pyarrow; None without pyarrow, or where it refuses the table."""
    import pandas as pd

    try:
        frame = pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=None,
            dtype=str,
            keep_default_na=False,
            engine="pyarrow",
        )
    except (ImportError, ValueError):  # pandas' errors of parsing are ValueErrors; Python's reader names the line
        return None
    columns = [frame[column].tolist() for column in frame.columns]
    return Columns([column[0] for column in columns], [column[1:] for column in columns])
