"""When a row is from: a column of numbers, of ISO dates or of dates as people write them, as numbers to be ordered.

Text is never ordered as text: `09.10.2019` would come before `10.01.2010`, and one `NA` among numbers would make
week 4 later than week 37.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from tasks.io.csv_text import TableError, as_number

MISSING = {"", "na", "n/a", "nan", "nat", "null", "none", "-", "?"}
SHOWN = 5
_START = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = r"(?:[ T,]+(?P<clock>\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?)(?: ?(?P<half>[AaPp]\.?[Mm]\.?))?)?"
_SEPARATED = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{1,4}}){_CLOCK}")
_NAMED = re.compile(
    r"(?:[A-Za-z]{3,9},? )?(\d{1,4}|[A-Za-z]{3,9})[ ./-]+([A-Za-z]{3,9}|\d{1,2})\.?,?[ ./-]+(\d{1,4})" + _CLOCK
)
_PERIOD = re.compile(r"(\d{4})[ /-]?([QqWw]|(?<=[/-]))(\d{1,2})")
_COUNTED = re.compile(r"([^\d]*)(\d+)([^\d]*)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Reader = Callable[[str], float | None]


class UnreadableTimestamps(TableError):
    """Cells that should be moments are none, or may be two; the message names some."""


def parse_timestamps(cells: Sequence[str], column: str = "time") -> list[float | None]:
    """A number for each cell, None for one that is missing. Raises `Unclear`."""
    if (plain := _plain(cells)) is not None:
        return plain
    known = {cell: cell.strip() for cell in set(cells) if cell.strip().lower() not in MISSING}
    best: dict[str, float] = {}
    for reader in (_as_number, _as_iso, _separated(known.values()), _as_named, _as_period, _counted(known.values())):
        found = {cell: value for cell, text in known.items() if (value := reader(text)) is not None}
        if len(found) == len(known):
            return [found.get(cell) for cell in cells]
        best = max(best, found, key=len)
    raise UnreadableTimestamps(
        _said(cells, [cell for cell in cells if cell in known and cell not in best], column, bool(best))
    )


def _plain(cells: Sequence[str]) -> list[float | None] | None:
    """Plain numbers, as most columns are, in a tenth of the time."""
    try:
        found = [float(cell) if cell else None for cell in cells]
    except ValueError:
        return None
    is_plain = all(math.isfinite(one) for one in found if one is not None) and not any("_" in cell for cell in cells)
    return found if is_plain else None


def _said(cells: Sequence[str], wrong: Sequence[str], column: str, are_others: bool) -> str:
    first = list(dict.fromkeys(wrong))[:SHOWN]
    places = ", ".join(f"{cell!r} in row {cells.index(cell) + 1}" for cell in first)
    how = "no moment as the others are" if are_others else "no moment, or more than one"
    return (
        f"column {column}: {len(wrong)} of {len(cells)} cells are {how} ({places}). Write numbers or ISO dates "
        "(2024-05-31), and leave a cell empty where nobody knows"
    )


def _as_number(text: str) -> float | None:
    number = as_number(text)
    return None if number is None else float(number)


def _as_iso(text: str) -> float | None:
    if not text[:4].isdigit() or text.isdigit():
        return None
    try:
        return _seconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _seconds(moment: datetime) -> float:
    """Seconds since 1970; a moment that names no zone is taken for one of Greenwich."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _START).total_seconds()


def _separated(texts: Collection[str]) -> Reader:
    """A reader of `31.5.2024`, `5/31/2024` and `2024/5/31`. Which of two small numbers is the month is known where one
    of the cells has a day above 12 there; dots go with the day first."""
    parts = [found for text in texts if (found := _SEPARATED.fullmatch(text))]
    year_last = [found for found in parts if len(found[4]) == 4 and len(found[1]) <= 2]
    day_first = any(int(found[1]) > 12 or found[2] == "." for found in year_last)
    month_first = any(int(found[3]) > 12 for found in year_last)

    def read(text: str) -> float | None:
        found = _SEPARATED.fullmatch(text)
        if not found:
            return None
        one, other, last = found[1], found[3], found[4]
        if len(one) == 4 and len(last) <= 2:
            return _moment(one, other, last, found)
        if len(last) != 4 or len(one) > 2 or day_first == month_first:
            return None
        return _moment(last, *((other, one) if day_first else (one, other)), found)

    return read


def _as_named(text: str) -> float | None:
    """`31 May 2024`, `May 31, 2024`, `31-May-2024`."""
    found = _NAMED.fullmatch(text)
    if not found:
        return None
    one, other, last = found[1], found[2], found[3]
    if other[:3].lower() in _MONTHS and one.isdigit():
        day, year = (last, one) if len(one) == 4 else (one, last)
        return _moment(year, str(_MONTHS.index(other[:3].lower()) + 1), day, found) if len(year) == 4 else None
    if one[:3].lower() in _MONTHS and other.isdigit() and len(last) == 4:
        return _moment(last, str(_MONTHS.index(one[:3].lower()) + 1), other, found)
    return None


def _moment(year: str, month: str, day: str, found: re.Match[str]) -> float | None:
    try:
        moment = datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None
    hours, minutes, seconds = ([float(part) for part in (found["clock"] or "0").split(":")] + [0.0, 0.0])[:3]
    if half := (found["half"] or "").lower():
        hours = hours % 12 + (12 if half.startswith("p") else 0)
    return _seconds(moment + timedelta(hours=hours, minutes=minutes, seconds=seconds))


def _as_period(text: str) -> float | None:
    """`2024-05`, `2024Q2`, `2024-W09`: years and parts of them."""
    found = _PERIOD.fullmatch(text)
    if not found:
        return None
    most = {"q": 4, "w": 53}.get(found[2].lower(), 12)
    return int(found[1]) + int(found[3]) / 100 if 1 <= int(found[3]) <= most else None


def _counted(texts: Collection[str]) -> Reader:
    """A reader of `week 7`, `T0007`: one number, and around it the same words in every cell."""
    found = [_COUNTED.fullmatch(text) for text in texts]
    around = {(one[1], one[3]) for one in found if one}

    def read(text: str) -> float | None:
        one = _COUNTED.fullmatch(text)
        return float(one[2]) if one and len(around) == 1 else None

    return read
