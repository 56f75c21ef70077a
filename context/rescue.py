"""Rescue: the lines of a long output that must not be lost, wherever they stand: scores, warnings, the last error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

TRACEBACK_LINES = 24
WARNINGS = 6
SCORES, FORMS = 24, 6

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
        return [place for place, (_, line) in enumerate(lines) if ERROR.search(line)][-3:]
    end = starts[-1] + 1
    while end < len(lines) and (lines[end][1].startswith((" ", "\t")) or not lines[end][1].strip()):
        end += 1
    places = list(range(starts[-1], min(end + 1, len(lines))))
    return [*reversed(places[-TRACEBACK_LINES:]), *places[:1]]


def score_lines(text: str, most: int) -> list[str]:
    """The lines of a short text that carry a score, the last `most` of them."""
    return [line.strip() for line in text.split("\n") if len(line) < 300 and SCORE.search(line)][-most:]


def _scores(lines: Sequence[Line]) -> list[int]:
    """The first of each form, then the last ones: the end of a training says more than its middle."""
    places = [place for place, (_, line) in enumerate(lines) if len(line) < 300 and SCORE.search(line)]
    latest = list(reversed(places))
    firsts = _first_of_each_form(lines, places)
    return [*firsts[:FORMS], *latest[:SCORES]]


def _warnings(lines: Sequence[Line]) -> list[int]:
    return _first_of_each_form(lines, (p for p, (_, line) in enumerate(lines) if WARNING.search(line)))[:WARNINGS]


def _first_of_each_form(lines: Sequence[Line], places: Iterable[int]) -> list[int]:
    seen: dict[str, int] = {}
    for place in places:
        seen.setdefault(_NUMBERS.sub("#", lines[place][1]), place)
    return list(seen.values())
