"""Lines of a long output that must not be lost in truncation: scores, warnings, the last traceback."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence

TRACEBACK_LINES = 24
ERRORS = 3
WARNINGS = 6
SCORES, FORMS = 24, 6
TABLE_LINES = 30
"""Lines at the head of an output that show whether it is a table."""
SCORE_LENGTH = 300
"""Longer lines are tables or dumps, not scores."""

_MEASURE = (
    r"acc(?:uracy)?|auc|roc|f1|f_?beta|precision|recall|log_?loss|loss|rmsle|rmse|mse|mae|mape|smape|r2|kappa|qwk|map@?k?|"
    r"ndcg|dice|iou|brier|score|metric|cv|oof|fold|valid(?:ation)?|val|best|eval(?:uation)?|public|held[ -]?out"
)
SCORE = re.compile(rf"(?i)(?<![a-z])(?:{_MEASURE})(?![a-z])[^\n]{{0,80}}?[-+]?\d*\.\d+(?:e[-+]?\d+)?")
WARNING = re.compile(r"\b(?:\w*Warning|WARNING|WARN|ERROR|FATAL|CRITICAL)\b|\b(?:nan|NaN|inf) (?:loss|values?|in)\b")
ERROR = re.compile(
    r"^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)\b(?::.*)?$|^Killed$|out of memory"
)
TRACEBACK = "Traceback (most recent call last)"
_NUMBERS = re.compile(r"\d+")

Line = tuple[int, str]
"""A line and its number in the whole text."""


def is_table(lines: Sequence[Line]) -> bool:
    """Whether lines are rows of a table, as `cat` shows one: nothing in it is a score or a warning of a program."""
    texts = [text for _, text in lines[:TABLE_LINES] if text]
    for separator in (",", "\t", ";"):
        count = texts[0].count(separator) if texts else 0
        if count and len(texts) > 2 and sum(text.count(separator) == count for text in texts) >= 0.9 * len(texts):
            return True
    return False


def is_score(line: str) -> bool:
    """Whether a line reports a score."""
    return "." in line and len(line) < SCORE_LENGTH and SCORE.search(line) is not None


class SkippedLines(str):
    """Stands for `lines` lines that are not read; `size`: their bytes, line ends included."""

    lines = size = 0


def size_of(line: str) -> int:
    """Bytes of a line with its line end."""
    if isinstance(line, SkippedLines):
        return line.size
    return (len(line) if line.isascii() else len(line.encode())) + 1


class KeptLines:
    """A stream of lines of any length, of which only those that `choose_lines` could choose are held.

    `first`, `last` (line numbers) and `size` (bytes, line ends included) cover all lines added.
    """

    def __init__(self) -> None:
        self.first = self.last = self.size = 0
        self._first_scores: dict[str, Line] = {}
        self._last_scores: deque[Line] = deque(maxlen=SCORES)
        self._warnings: dict[str, Line] = {}
        self._errors: deque[Line] = deque(maxlen=ERRORS)
        self._traceback: list[Line] = []
        self._end: deque[Line] = deque(maxlen=TRACEBACK_LINES)
        self._is_open = False

    def add(self, line: Line) -> None:
        """Add a line that is left out of head and tail."""
        number, text = line
        first = number - text.lines + 1 if isinstance(text, SkippedLines) else number
        self.first, self.last = self.first or first, number
        self.size += size_of(text)
        self.follow(line)
        if is_score(text):
            _keep_first(self._first_scores, line, FORMS)
            self._last_scores.append(line)
        if WARNING.search(text):
            _keep_first(self._warnings, line, WARNINGS)
        if ERROR.search(text):
            self._errors.append(line)

    def follow(self, line: Line) -> None:
        """Track tracebacks only, for a line of the head: a traceback may start there and end in the middle."""
        text = line[1]
        if TRACEBACK in text:
            self._traceback, self._is_open = [line], True
            self._end.clear()
        elif self._is_open:
            self._end.append(line)
            self._is_open = not text.strip() or text.startswith((" ", "\t"))

    def lines(self) -> list[Line]:
        """The held lines among those added, in order."""
        held = {*self._first_scores.values(), *self._last_scores, *self._warnings.values(), *self._errors}
        held |= {*self._traceback, *self._end}
        return sorted(line for line in held if self.first <= line[0] <= self.last)


def _keep_first(forms: dict[str, Line], line: Line, most: int) -> None:
    if len(forms) < most:
        forms.setdefault(_form(line[1]), line)


def _form(line: str) -> str:
    """A line with its numbers masked: lines of one form differ only in numbers."""
    return _NUMBERS.sub("#", line)


def choose_lines(lines: Sequence[Line], room: int) -> list[Line]:
    """The lines worth keeping among those left out, in order, within `room` bytes.

    Priority: the last traceback, then scores (the first of each form and the last ones), then warnings (one per form).
    """
    wanted = [*_last_traceback(lines), *_scores(lines), *_warnings(lines)]
    kept: dict[int, Line] = {}
    for index in wanted:
        number, line = lines[index]
        cost = len(f"{number}: {line}".encode()) + 1
        if index not in kept and cost <= room:
            kept[index] = lines[index]
            room -= cost
    return [kept[index] for index in sorted(kept)]


def score_lines(text: str, most: int) -> list[str]:
    """The last `most` lines of a short text that report a score."""
    return [line.strip() for line in text.split("\n") if is_score(line)][-most:]


def _last_traceback(lines: Sequence[Line]) -> list[int]:
    """Indexes of the last traceback, its end first: the exception says most. Without one, the last errors."""
    starts = [index for index, (_, line) in enumerate(lines) if TRACEBACK in line]
    if not starts:
        return [index for index, (_, line) in enumerate(lines) if ERROR.search(line)][-ERRORS:]
    end = starts[-1] + 1
    while end < len(lines) and (lines[end][1].startswith((" ", "\t")) or not lines[end][1].strip()):
        end += 1
    indexes = list(range(starts[-1], min(end + 1, len(lines))))
    return [*reversed(indexes[-TRACEBACK_LINES:]), *indexes[:1]]


def _scores(lines: Sequence[Line]) -> list[int]:
    """The first score of each form, then the last ones: the end of a training says more than its middle."""
    indexes = [index for index, (_, line) in enumerate(lines) if is_score(line)]
    return [*_first_of_each_form(lines, indexes)[:FORMS], *indexes[::-1][:SCORES]]


def _warnings(lines: Sequence[Line]) -> list[int]:
    indexes = (index for index, (_, line) in enumerate(lines) if WARNING.search(line))
    return _first_of_each_form(lines, indexes)[:WARNINGS]


def _first_of_each_form(lines: Sequence[Line], indexes: Iterable[int]) -> list[int]:
    seen: dict[str, int] = {}
    for index in indexes:
        seen.setdefault(_form(lines[index][1]), index)
    return list(seen.values())
