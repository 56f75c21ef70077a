"""Read tables whose cells have types (JSON, JSON Lines, Parquet, Excel) as columns of text."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from tasks.errors import TaskError
from tasks.io.columns import Columns

if TYPE_CHECKING:
    import pandas as pd

MAX_WORKBOOK_BYTES, MAX_SHEET_BYTES = 100 << 20, 1 << 30
"""Of an Excel file, and of what is packed in it: openpyxl takes about a hundred times as much memory."""
INSTALL = "pip install 'open-harness[tables]'"


def cell_text(value: Any) -> str:
    """A value as the text of a CSV cell: missing values are empty, whole floats keep no `.0`, lists become JSON."""
    if value is None or type(value).__name__ in ("NaTType", "NAType") or (value != value) is True:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() and not value.tzinfo else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return cell_text(value.tolist())
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# ---------------------------------------------------------------------------------------------------------------- JSON


def read_json(text: str, shown: str) -> Columns:
    """A list of objects, an object of columns, or an object with one list of objects. Raises TaskError."""
    try:
        content = json.loads(text)
    except ValueError as error:
        try:
            return read_json_lines(text, shown)
        except TaskError:
            raise TaskError(f"{shown}: is not JSON ({error}). Write a list of objects, or an object a line.") from None
    if isinstance(content, dict):
        lists = [
            value for value in content.values() if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        if len(lists) == 1:
            content = lists[0]
        elif content and all(isinstance(value, (list, dict)) for value in content.values()):
            content = _rows_of_columns(content)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TaskError(f"{shown}: is not a table. Write a JSON list of objects, one for each row.")
    return _of_objects(content)


def _rows_of_columns(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `{column: [cells]}` or `{column: {row: cell}}`, as pandas writes them."""
    columns = {name: list(one.values()) if isinstance(one, dict) else one for name, one in content.items()}
    if len({len(cells) for cells in columns.values()}) != 1:
        return []
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def read_json_lines(text: str, shown: str) -> Columns:
    """One object a line. Raises TaskError, which names the line."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TaskError(f"{shown}: line {number} is not JSON ({error}). Write an object in each line.") from None
        if not isinstance(row, dict):
            raise TaskError(f"{shown}: line {number} is not an object. Write an object in each line.")
        rows.append(row)
    return _of_objects(rows)


def _of_objects(rows: Iterable[dict[str, Any]]) -> Columns:
    """The table of objects; an object in an object becomes columns `outer.inner`."""
    flat = [_flat(row) for row in rows]
    header = list(dict.fromkeys(name for row in flat for name in row))
    return Columns(header, [[cell_text(row.get(name)) for row in flat] for name in header])


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            cells |= _flat(value, f"{prefix}{name}.")
        else:
            cells[f"{prefix}{name}"] = value
    return cells


# ------------------------------------------------------------------------------------------------------ Parquet, Excel


def read_parquet(data: bytes, shown: str) -> Columns:
    """Raises TaskError, also if pyarrow is missing."""
    import pandas as pd

    frame = _with_library(lambda: pd.read_parquet(io.BytesIO(data)), shown, "Parquet", "pyarrow")
    unnamed = frame.index.names == [None]
    return _of_frame(frame if unnamed else frame.reset_index())


def read_excel(data: bytes, shown: str, sheet: str = "") -> tuple[Columns, str]:
    """The table of a sheet, and a fact about the other sheets. Raises TaskError.

    Without a name, the sheet is the first one with several rows and columns.
    """
    import pandas as pd

    if len(data) > MAX_WORKBOOK_BYTES or _packed_bytes(data) > MAX_SHEET_BYTES:
        raise TaskError(too_large_workbook(shown, max(len(data), _packed_bytes(data))))
    sheets: dict[str, pd.DataFrame] = _with_library(
        lambda: pd.read_excel(io.BytesIO(data), sheet_name=None, header=None, dtype=object), shown, "Excel", "openpyxl"
    )
    filled = {name: frame for name, frame in sheets.items() if len(frame)}
    if sheet and sheet not in filled:
        raise TaskError(f"{shown}: has no sheet {sheet!r} with cells. Its sheets are: {', '.join(filled)}.")
    if not filled:
        raise TaskError(f"{shown}: has no cells. Name a file with a table.")
    are_tables = [name for name, frame in filled.items() if min(frame.shape) > 1]
    name = sheet or (are_tables or list(filled))[0]
    columns = [[cell_text(value) for value in filled[name][place].tolist()] for place in filled[name].columns]
    table = Columns([column[0].strip() for column in columns], [column[1:] for column in columns])
    others = [f"'{other}'" for other in filled if other != name]
    if not others:
        return table, ""
    return table, f"read the sheet '{name}' and not {', '.join(others[:5])} (to name one: '{shown}!SHEET')"


def too_large_workbook(shown: str, size: int) -> str:
    """The sentence about a workbook that would fill the memory."""
    return (
        f"{shown}: {size / 1e6:,.0f} MB of Excel would fill the memory of this machine. Save the sheet as CSV, and "
        "name that file."
    )


def _packed_bytes(data: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        return 0


def _of_frame(frame: pd.DataFrame) -> Columns:
    header = [str(name) for name in frame.columns]
    columns = [[cell_text(value) for value in frame.iloc[:, place].tolist()] for place in range(len(header))]
    return Columns(header, columns)


def _with_library(read: Callable[[], Any], shown: str, what: str, library: str) -> Any:
    try:
        return read()
    except ImportError:
        raise TaskError(f"{shown}: {what} files are read by {library}, which is not installed: {INSTALL}") from None
    except Exception as error:  # each library raises kinds of its own for damaged files
        reason = " ".join(str(error).split())[:200]
        raise TaskError(f"{shown}: cannot be read as {what} ({reason}). Save it again, or as CSV.") from None
