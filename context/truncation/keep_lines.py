"""Rescue: the lines of a long output that must not be lost, wherever they stand: scores, warnings, the last error."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence

TRACEBACK_LINES = 24
ERRORS = 3
WARNINGS = 6
SCORES, FORMS = 24, 6
SCORE_LENGTH = 300
"""A longer line is a table or a dump, and no score."""

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


def is_score(line: str) -> bool:
    """Whether a line tells a score."""
    return "." in line and len(line) < SCORE_LENGTH and SCORE.search(line) is not None


class Sieve:
    """Lines that pass by one after the other: of any number of them it holds the few that `rescue` could choose.

    `first`, `last` and `size` (bytes, line ends included) are of all lines added.
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
        """Take a line that will not be shown in its place."""
        number, text = line
        self.first, self.last = self.first or number, number
        self.size += len(text.encode()) + 1
        self.follow(line)
        if is_score(text):
            _keep_first(self._first_scores, line, FORMS)
            self._last_scores.append(line)
        if WARNING.search(text):
            _keep_first(self._warnings, line, WARNINGS)
        if ERROR.search(text):
            self._errors.append(line)

    def follow(self, line: Line) -> None:
        """Watch a line that may be shown all the same: a traceback that it begins may end among those added."""
        text = line[1]
        if TRACEBACK in text:
            self._traceback, self._is_open = [line], True
            self._end.clear()
        elif self._is_open:
            self._end.append(line)
            self._is_open = not text.strip() or text.startswith((" ", "\t"))

    def lines(self) -> list[Line]:
        """What could be chosen of the lines added, in their order."""
        held = {*self._first_scores.values(), *self._last_scores, *self._warnings.values(), *self._errors}
        held |= {*self._traceback, *self._end}
        return sorted(line for line in held if self.first <= line[0] <= self.last)


def _keep_first(forms: dict[str, Line], line: Line, most: int) -> None:
    if len(forms) < most:
        forms.setdefault(_form(line[1]), line)


def _form(line: str) -> str:
    return _NUMBERS.sub("#", line)


def rescue(lines: Sequence[Line], room: int) -> list[Line]:
    """The lines worth keeping of those that are left out, in their order, within `room` bytes.

    The last traceback comes first, then scores (of many of one form the first and the last ones), then warnings, one
    of each form.
    """
    wanted = [*last_traceback(lines), *_scores(lines), *_warnings(lines)]
    kept: dict[int, Line] = {}
    for place in wanted:
        number, line = lines[place]
        cost = len(f"{number}: {line}".encode()) + 1
        if place not in kept and cost <= room:
            kept[place] = lines[place]
            room -= cost
    return [kept[place] for place in sorted(kept)]


def last_traceback(lines: Sequence[Line]) -> list[int]:
    """Where the last traceback stands, its end first (what was raised says most)."""
    starts = [place for place, (_, line) in enumerate(lines) if TRACEBACK in line]
    if not starts:
        return [place for place, (_, line) in enumerate(lines) if ERROR.search(line)][-ERRORS:]
    end = starts[-1] + 1
    while end < len(lines) and (lines[end][1].startswith((" ", "\t")) or not lines[end][1].strip()):
        end += 1
    places = list(range(starts[-1], min(end + 1, len(lines))))
    return [*reversed(places[-TRACEBACK_LINES:]), *places[:1]]


def score_lines(text: str, most: int) -> list[str]:
    """The lines of a short text that carry a score, the last `most` of them."""
    return [line.strip() for line in text.split("\n") if is_score(line)][-most:]


def _scores(lines: Sequence[Line]) -> list[int]:
    """The first of each form, then the last ones: the end of a training says more than its middle."""
    places = [place for place, (_, line) in enumerate(lines) if is_score(line)]
    latest = list(reversed(places))
    firsts = _first_of_each_form(lines, places)
    return [*firsts[:FORMS], *latest[:SCORES]]


def _warnings(lines: Sequence[Line]) -> list[int]:
    return _first_of_each_form(lines, (p for p, (_, line) in enumerate(lines) if WARNING.search(line)))[:WARNINGS]


def _first_of_each_form(lines: Sequence[Line], places: Iterable[int]) -> list[int]:
    seen: dict[str, int] = {}
    for place in places:
        seen.setdefault(_form(lines[place][1]), place)
    return list(seen.values())
