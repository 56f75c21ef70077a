"""Read delimited text (CSV, TSV, semicolons, bars) as columns of text; cells stay as written."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence

from tasks.errors import TaskError
from tasks.io.columns import Columns, parse_unquoted
from tasks.io.csv_text import BOM, MAX_CELL_CHARS, TableError, as_number, iter_rows

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings of wide characters by their byte order mark, the longer ones first. Excel calls UTF-16 Unicode text."""
ARROW_BYTES = 4 << 20
"""From this size on pyarrow reads the table, where it is installed: in a third of the time."""
PROBED_LINES = 20
HEADER_ROWS_PROBED = 10
_MULTIBYTE = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe1-\xef][\x80-\xbf]{2}")
"""What letters outside of ASCII look like in UTF-8."""


def read_text_table(data: bytes, name: str, shown: str, wanted: Sequence[str] = ()) -> tuple[Columns, str]:
    """The table in a file's bytes, and the separator that was found. `shown` names the file in messages.

    `wanted` are names that the header should have. Raises TaskError.
    """
    text = _decode(data, shown)
    data = text.encode() if data.startswith(tuple(WIDE)) else data
    separator = _separator(text, name, wanted)
    try:
        return _read(data, text, name, separator), separator
    except (TableError, csv.Error) as error:
        advice = _advice(text, separator)
        raise TaskError(f"{shown}: cannot be read as a table ({error}). {advice}") from None


def _advice(text: str, separator: str) -> str:
    """What to do about rows of different lengths: remove a title, close a quote, or mend the row."""
    rows = _probe(text, separator)
    widths = [len(row) for row in rows[:HEADER_ROWS_PROBED]]
    if widths and widths[0] < max(widths) == widths[-1]:
        header = rows[widths.index(max(widths))]
        if all(cell.strip() and as_number(cell) is None for cell in header):
            return f"The header seems to be the row that begins with {header[0][:40]!r}: remove what stands above it."
    for number, line in enumerate(text.splitlines(), 1):
        if line.count('"') % 2:
            return f"Line {number} has a quotation mark without a second one, which may be why: mend it."
    return "Mend that, or save it again as CSV."


def _decode(data: bytes, shown: str) -> str:
    if wide := next((encoding for mark, encoding in WIDE.items() if data.startswith(mark)), ""):
        try:
            return data.decode(wide)
        except UnicodeDecodeError:
            raise TaskError(f"{shown}: begins as {wide.upper()} text, and is damaged. Save it again as CSV.") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if _MULTIBYTE.search(data):
            raise TaskError(
                f"{shown}: line {line} is not UTF-8 text, though other lines are: the file mixes encodings, and "
                "converting all of it would damage the rest. Save the sources in UTF-8 before they are joined, or mend "
                "these lines."
            ) from None
        kind = "WINDOWS-1252" if re.search(rb"[\x80-\x9f]", data) else "LATIN1"
        raise TaskError(
            f"{shown}: line {line} is not UTF-8 text. Convert the file, for example with `iconv -f {kind} -t UTF-8`."
        ) from None


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
    rows = list(csv.reader(io.StringIO(text[: end or None].removeprefix(BOM), newline=""), delimiter=separator))
    return [row for row in rows if row]


def _read(data: bytes, text: str, name: str, separator: str) -> Columns:
    if len(data) >= ARROW_BYTES and (table := _read_with_arrow(data, separator)) is not None:
        return table
    if separator == "," and (table := parse_unquoted(data, text)) is not None:
        return table
    csv.field_size_limit(MAX_CELL_CHARS)
    stream = io.StringIO(text.removeprefix(BOM), newline="")
    return Columns.of(row for _, row in iter_rows(stream, name, separator))


def _read_with_arrow(data: bytes, separator: str) -> Columns | None:
    """The table as pandas reads it through pyarrow; None without pyarrow, or where it refuses the table."""
    import pandas as pd

    try:
        frame = pd.read_csv(
            io.BytesIO(data.removeprefix(BOM.encode())),
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
