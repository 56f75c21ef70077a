"""Parse a column of times (numbers, ISO dates, or dates as people write them) into numbers that can be sorted.

Text is never sorted as text: `09.10.2019` would come before `10.01.2010`, and one `NA` among numbers would put week 4
after week 37.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from tasks.io.csv_text import TableError, as_number

MISSING = {"", "na", "n/a", "nan", "nat", "null", "none", "-", "?"}
SHOWN_CELLS = 5
PROBED = 100
"""A format that none of so many cells has is not tried on the others."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK = r"(?:[ T,]+(?P<clock>\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?)(?: ?(?P<half>[AaPp]\.?[Mm]\.?))?)?"
_SEPARATED = re.compile(rf"(\d{{1,4}})([./-])(\d{{1,2}})\2(\d{{1,4}}){_CLOCK}")
_NAMED_MONTH = re.compile(
    r"(?:[A-Za-z]{3,9},? )?(\d{1,4}|[A-Za-z]{3,9})[ ./-]+([A-Za-z]{3,9}|\d{1,2})\.?,?[ ./-]+(\d{1,4})" + _CLOCK
)
_MONTH_OF_YEAR = re.compile(r"([A-Za-z]{3,9})\.?,?[ ./-]+(\d{4})(?P<clock>)(?P<half>)")
_PERIOD = re.compile(r"(\d{4})[ /-]?([QqWw]|(?<=[/-]))(\d{1,2})")
_COUNTER = re.compile(r"([^\d]*)(\d+)([^\d]*)")
_UTC = re.compile(r"(?<=\d) (UTC|GMT)$")
_MOST_DAYS = 31
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Parser = Callable[[str], float | None]


class UnreadableTimestamps(TableError):
    """Cells are not times, or could be two different ones; the message shows some of them."""


def parse_timestamps(cells: Sequence[str], column: str = "time") -> list[float | None]:
    """A number for each cell, None for a missing one; all cells are read in the same format.

    Raises `UnreadableTimestamps`.
    """
    if (numbers := _parse_plain_numbers(cells)) is not None:
        return numbers
    texts = {cell: _UTC.sub("", cell.strip()) for cell in dict.fromkeys(cells) if cell.strip().lower() not in MISSING}
    best: dict[str, float] = {}
    for make_parser in PARSERS:
        parse = make_parser(texts.values())
        if not any(parse(text) is not None for text in islice(texts.values(), PROBED)):
            continue
        times = {cell: value for cell, text in texts.items() if (value := parse(text)) is not None}
        if len(times) == len(texts):
            return [times.get(cell) for cell in cells]
        best = max(best, times, key=len)
    wrong = [cell for cell in cells if cell in texts and cell not in best]
    raise UnreadableTimestamps(_explain(cells, wrong, column, bool(best)))


def _parse_plain_numbers(cells: Sequence[str]) -> list[float | None] | None:
    """The most frequent case, a column of plain numbers, in a tenth of the time."""
    try:
        numbers = [float(cell) if cell else None for cell in cells]
    except ValueError:
        return None
    is_plain = all(math.isfinite(number) for number in numbers if number is not None)
    return numbers if is_plain and not any("_" in cell for cell in cells) else None


def _explain(cells: Sequence[str], wrong: Sequence[str], column: str, others_parsed: bool) -> str:
    first = list(dict.fromkeys(wrong))[:SHOWN_CELLS]
    examples = ", ".join(f"{cell!r} in row {cells.index(cell) + 1}" for cell in first)
    problem = "not times in the format of the other cells" if others_parsed else "not times, or ambiguous"
    return (
        f"column {column}: {len(wrong)} of {len(cells)} cells are {problem} ({examples}). Write numbers or ISO dates "
        "(2024-05-31), and leave unknown cells empty"
    )


def _parse_number(text: str) -> float | None:
    number = as_number(text)
    return None if number is None else float(number)


def _parse_iso(text: str) -> float | None:
    if not text[:4].isdigit() or text.isdigit():
        return None
    try:
        return _seconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _seconds(time: datetime) -> float:
    """Seconds since 1970; a time without a zone is taken as UTC."""
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def _separated_date_parser(texts: Collection[str]) -> Parser:
    """A parser of `31.5.2024`, `5/31/2024` and `2024/5/31`.

    Whether day or month comes first follows from a cell with a number above 12 there; dots mean day first. If no cell
    decides, or cells contradict each other, every cell is ambiguous and refused.
    """
    matches = [match for text in texts if (match := _SEPARATED.fullmatch(text))]
    year_last = [match for match in matches if len(match[4]) == 4 and len(match[1]) <= 2]
    day_first = any(int(match[1]) > 12 or match[2] == "." for match in year_last)
    month_first = any(int(match[3]) > 12 for match in year_last)

    def parse(text: str) -> float | None:
        match = _SEPARATED.fullmatch(text)
        if not match:
            return None
        first, second, third = match[1], match[3], match[4]
        if len(first) == 4 and len(third) <= 2:
            return _to_seconds(first, second, third, match)
        if len(third) != 4 or len(first) > 2 or day_first == month_first:
            return None
        return _to_seconds(third, *((second, first) if day_first else (first, second)), match)

    return parse


def _named_month_parser(texts: Collection[str]) -> Parser:
    """A parser of `31 May 2024`, `May 31, 2024`, `31-May-2024`, `31-May-24`, `May 2024`.

    A year of two digits is the last number, as Excel writes dates, unless a first number above 31 shows otherwise.
    Where the year is first in some cells and last in others, all of them are refused.
    """
    matches = [match for text in texts if (match := _NAMED_MONTH.fullmatch(text)) and match[1].isdigit()]
    matches = [match for match in matches if _month(match[2])]
    year_first = any(int(match[1]) > _MOST_DAYS for match in matches)
    year_last = any(int(match[3]) > _MOST_DAYS for match in matches)
    is_mixed = year_first and (year_last or len({len(match[1]) for match in matches}) > 1)

    def parse(text: str) -> float | None:
        if match := _MONTH_OF_YEAR.fullmatch(text):
            return _to_seconds(match[2], _month(match[1]), "1", match) if _month(match[1]) else None
        match = _NAMED_MONTH.fullmatch(text)
        if not match:
            return None
        first, second, third = match[1], match[2], match[3]
        if first.isdigit() and _month(second) and not is_mixed:
            day, year = (third, first) if year_first else (first, third)
            return _to_seconds(_full_year(year), _month(second), day, match) if len(year) in (2, 4) else None
        if _month(first) and second.isdigit() and len(third) == 4:
            return _to_seconds(third, _month(first), second, match)
        return None

    return parse


def _month(word: str) -> str:
    """The number of a month by its name; empty for another word."""
    return str(_MONTHS.index(word[:3].lower()) + 1) if word[:3].lower() in _MONTHS else ""


def _full_year(year: str) -> str:
    """A year of two digits in full: 69 to 99 are in the last century, as POSIX reads them."""
    return year if len(year) == 4 else str(int(year) + (1900 if int(year) >= 69 else 2000))


def _to_seconds(year: str, month: str, day: str, match: re.Match[str]) -> float | None:
    """Seconds since 1970 of a date and the time of day in `match`; None if there is no such date."""
    try:
        date = datetime(int(year), int(month), int(day), tzinfo=UTC)
    except ValueError:
        return None
    hours, minutes, seconds = ([float(part) for part in (match["clock"] or "0").split(":")] + [0.0, 0.0])[:3]
    if half := (match["half"] or "").lower():
        hours = hours % 12 + (12 if half.startswith("p") else 0)
    return _seconds(date + timedelta(hours=hours, minutes=minutes, seconds=seconds))


def _parse_period(text: str) -> float | None:
    """`2024-05`, `2024Q2`, `2024-W09`: a year and a month, quarter or week."""
    match = _PERIOD.fullmatch(text)
    if not match:
        return None
    last = {"q": 4, "w": 53}.get(match[2].lower(), 12)
    return int(match[1]) + int(match[3]) / 100 if 1 <= int(match[3]) <= last else None


def _counter_parser(texts: Collection[str]) -> Parser:
    """A parser of `week 7`, `T0007`: one number, with the same words around it in every cell."""
    matches = [_COUNTER.fullmatch(text) for text in texts]
    surroundings = {(match[1], match[3]) for match in matches if match}

    def parse(text: str) -> float | None:
        match = _COUNTER.fullmatch(text)
        return float(match[2]) if match and len(surroundings) == 1 else None

    return parse


PARSERS: tuple[Callable[[Collection[str]], Parser], ...] = (
    lambda texts: _parse_number,
    lambda texts: _parse_iso,
    _separated_date_parser,
    _named_month_parser,
    lambda texts: _parse_period,
    _counter_parser,
)
"""Makers of the parser of each format, from all texts of a column."""
