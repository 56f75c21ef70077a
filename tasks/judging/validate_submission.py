"""Check the format of a submission. No answers are read here, so no message can reveal one.

    SubmissionRefused   everything that is wrong, with counts, and what is expected instead

The file may come from an agent: links are not followed, and a pipe or a device never blocks the reader.
"""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tasks.io.columns import Columns, parse_unquoted
from tasks.io.csv_text import Positions, Row, TableError, iter_rows, number

SIZE_CAP = 2_000_000_000
"""Bytes."""
PIECE = 1 << 20
MOST_NAMED = 12
"""Faults of values that a message names."""
_CONTAINERS = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet workbook"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"PAR1", "a Parquet file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x80\x04", "a pickle"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"<", "HTML or XML"),
)


class SubmissionRefused(Exception):
    """The file is not a valid submission; the message says what is wrong and what is expected."""


@dataclass(frozen=True)
class Format:
    """The format of a valid submission.

    `columns` are all required columns, `id` and `targets` among them; `ids` are the rows in the order of the result.
    `numbers`: the targets must be numbers. `may_be_missing`: empty targets are allowed.
    """

    columns: tuple[str, ...]
    id: str
    targets: tuple[str, ...]
    ids: list[str]
    numbers: bool
    may_be_missing: bool = False


def read_submission(path: Path, form: Format, size_cap: int = SIZE_CAP) -> Columns:
    """Check a submission and return its cells as text, in the order of `form.ids` and `form.columns`.

    Ids are written as in `form.ids`, even if the file writes them otherwise (1.0 for 1). Raises `SubmissionRefused`.
    """
    with _open_regular(path, size_cap) as raw:
        _refuse_containers(raw)
        try:
            table = _read_ordered(raw, form)
            if table is None:
                raw.seek(0)
                with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as stream:
                    table = _collect(iter_rows(stream, "The submission"), form)
        except UnicodeDecodeError:
            raise SubmissionRefused("The submission is not UTF-8 text: write it as CSV in UTF-8.") from None
        except TableError as error:
            raise SubmissionRefused(f"{error}.") from None
    if faults := _value_faults(table, form):
        raise SubmissionRefused(" ".join(faults))
    return table


def why_no_submission(sample: Path, id_column: str, targets: Sequence[str], numbers: bool, may_be_missing: bool) -> str:
    """Why a task's sample is not a valid submission; empty if it is one."""
    from tasks.io.csv_text import read_rows

    try:
        header, *body = read_rows(sample)
        index = header.index(id_column)
        form = Format(tuple(header), id_column, tuple(targets), [row[index] for row in body], numbers, may_be_missing)
        read_submission(sample, form)
    except (SubmissionRefused, TableError) as error:
        return str(error)
    return ""


def _open_regular(path: Path, size_cap: int) -> io.BufferedReader:
    # O_NONBLOCK: opening a pipe without a writer would block. lstat first: opening a device may have side effects.
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise SubmissionRefused(f"The submission is {_file_kind(status.st_mode)}, not a regular file.")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SubmissionRefused(f"There is no {path.name}: the solution has to write it.") from None
    except OSError:
        raise SubmissionRefused("The submission cannot be opened: it must be a readable regular file.") from None
    raw = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = f"The submission is {_file_kind(status.st_mode)}, not a regular file."
    elif status.st_size > size_cap:
        problem = f"The submission has {status.st_size:,} bytes; at most {size_cap:,} are read."
    elif status.st_size == 0:
        problem = "The submission is empty."
    if problem:
        raw.close()
        raise SubmissionRefused(problem)
    return raw


def _file_kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a device or socket"


def _refuse_containers(raw: io.BufferedReader) -> None:
    head = raw.peek(4096)[:4096]
    for magic, name in _CONTAINERS:
        if head.startswith(magic):
            raise SubmissionRefused(f"The submission is {name}: write it as plain CSV in UTF-8.")
    if b"\x00" in head:
        raise SubmissionRefused("The submission contains NUL bytes (UTF-16 or binary): write it as plain CSV in UTF-8.")


def _read_ordered(raw: BinaryIO, form: Format) -> Columns | None:
    """Read a submission with the columns and ids of the sample in order and unquoted, as most are: a fast path.

    None for any other file, valid or not.
    """
    ends = sum(piece.count(b"\n") for piece in iter(partial(raw.read, PIECE), b""))
    if ends - len(form.ids) not in (0, 1):  # a huge file is not read into memory to be refused
        return None
    raw.seek(0)
    data = raw.read()
    table = parse_unquoted(data, data.decode("utf-8"))
    fits = table is not None and tuple(table.header) == form.columns and table.column(form.id) == form.ids
    return table if fits else None


def _collect(rows: Iterator[tuple[int, Row]], form: Format) -> Columns:
    """The rows in the order of the sample. Raises `SubmissionRefused` with every fault of rows, ids and values."""
    _, header = next(rows, (0, []))
    try:
        take = _columns(header, form)
    except SubmissionRefused as refusal:
        raise SubmissionRefused(" ".join([str(refusal), *_count_faults(sum(1 for _ in rows), form)])) from None
    id_column = take[form.columns.index(form.id)]
    positions: Positions | None = None
    in_order = take == list(range(len(header)))
    rows_by_id: list[Row | None] = [None] * len(form.ids)
    others: list[Row] = []
    count = unknown = repeated = 0
    for _, row in rows:
        count += 1
        if count > len(form.ids):  # only count the rest
            continue
        position = count - 1 if row[id_column] == form.ids[count - 1] else None
        if position is None or rows_by_id[position] is not None:
            positions = positions or Positions(form.ids)
            position = positions.find(row[id_column])
        chosen = row if in_order else [row[index] for index in take]
        if position is not None and rows_by_id[position] is None:
            rows_by_id[position] = chosen
            continue
        unknown += position is None
        repeated += position is not None
        others.append(chosen)
    matched = [row for row in rows_by_id if row is not None]
    faults = _count_faults(count, form)
    if others:
        faults.append(
            f"The ids in column {form.id!r} do not match the sample submission: {rows_by_id.count(None)} missing, "
            f"{unknown} unknown, {repeated} repeated. Every id of the sample is expected once."
        )
    if faults:
        raise SubmissionRefused(" ".join([*faults, *_value_faults(_table([*matched, *others], form), form)]))
    return _table(matched, form).with_column(form.id, list(form.ids))


def _table(rows: list[Row], form: Format) -> Columns:
    columns = [list(cells) for cells in zip(*rows, strict=True)] or [[] for _ in form.columns]
    return Columns(form.columns, columns)


def _count_faults(count: int, form: Format) -> list[str]:
    if count == len(form.ids):
        return []
    return [f"The submission has {count} rows; {len(form.ids)} are expected, one per sample row."]


def _columns(header: Row, form: Format) -> list[int]:
    names = [name if name in form.columns else name.strip() for name in header]
    if all(names.count(column) == 1 for column in form.columns):
        return [names.index(column) for column in form.columns]
    expected = ",".join(form.columns)
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            raise SubmissionRefused(f"The submission is separated by {name}; commas are expected: {expected}")
    wrong = [column for column in form.columns if names.count(column) != 1]
    problem = "missing from" if any(column not in names for column in wrong) else "repeated in"
    raise SubmissionRefused(f"Columns {problem} the header: {','.join(wrong)}. Expected: {expected}")


def _value_faults(table: Columns, form: Format) -> list[str]:
    """What is wrong with the values of each target, of at most `MOST_NAMED` targets."""
    faults = [fault for target in form.targets for fault in _faults_of_target(table, target, form)]
    more = len(faults) - MOST_NAMED
    return [*faults[:MOST_NAMED], *([f"{more} more such faults in other columns."] if more > 0 else [])]


def _faults_of_target(table: Columns, target: str, form: Format) -> Iterator[str]:
    if form.numbers and (plain := table.numbers(target)) is not None and all(map(math.isfinite, plain)):
        return
    missing = infinite = not_numbers = 0
    for cell in table.column(target):
        if not form.numbers:
            missing += not cell.strip()
            continue
        try:
            value = number(cell)
        except ValueError:
            not_numbers += 1
            continue
        missing += math.isnan(value)
        infinite += math.isinf(value)
    if not_numbers:
        yield f"Column {target!r} contains {not_numbers} values that are not numbers."
    if infinite:
        yield f"Column {target!r} contains {infinite} infinite values."
    if missing and not form.may_be_missing:
        yield f"Column {target!r} contains {missing} missing values; none may be missing."
