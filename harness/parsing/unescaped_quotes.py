"""Reads an object whose strings contain unescaped quotation marks, if there is exactly one way to do so.

A string may end at a mark followed by the end of the object, or by a key of the tool that was not given yet. All ways
to read the text so are tried; more than one is an error. The result is always ambiguous.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harness.parsing.json_text import decoder, loads

_MOST = 16
"""Limit of marks at which a string could end; text with more of them is not read."""

_END = re.compile(r"\s*,?\s*\}\s*\Z")
_ESCAPE = re.compile(r'\\.|"', re.DOTALL)
_EXPRESSION = re.compile(r"\s+|\s*[+*%](?:.*[+*%])?\s*", re.DOTALL)
_COMMENT = re.compile(r"\s*,?\s*(?:#|//|/\*)")


@dataclass(frozen=True)
class _Text:
    text: str
    quote: str
    ends: tuple[int, ...]
    key: re.Pattern[str]


def read_unescaped_quotes(text: str, known: Collection[str], needed: Collection[str]) -> dict[str, Any] | None:
    """The object in a text whose strings contain unescaped quotation marks; None unless there is exactly one reading.

    `known` are the keys it may have (empty: any), `needed` those it must have.
    """
    opening = re.match(r"\{[^\"']*([\"'])", text)
    if not opening:
        return None
    quote = opening[1]
    names = "|".join(map(re.escape, known))
    key = rf"\s*({quote}?)({names})\1\s*:\s*" if known else rf"\s*({quote})(\w+)\1\s*:\s*"
    ends = re.finditer(rf"{quote}(?=\s*,{key}|{_END.pattern})", text)
    positions = [end.start() for end in islice(ends, _MOST + 1)]
    if len(positions) > _MOST:
        return None
    whole = _Text(text, quote, tuple(positions), re.compile(key))
    readings = [*islice((value for value in _rest(whole, 1, {}) if all(key in value for key in needed)), 2)]
    return readings[0] if len(readings) == 1 else None


def _rest(whole: _Text, position: int, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All ways to read the rest from a key on; `given` was read before it."""
    key = whole.key.match(whole.text, position)
    if key is None or key[2] in given:
        return
    for value, end in _values(whole, key.end()):
        now = {**given, key[2]: value}
        if _END.match(whole.text, end):
            yield now
        elif comma := re.compile(r"\s*,").match(whole.text, end):
            yield from _rest(whole, comma.end(), now)


def _values(whole: _Text, position: int) -> Iterator[tuple[Any, int]]:
    """The values that may begin here, each with its end."""
    if not whole.text.startswith(whole.quote, position):
        try:
            yield decoder(strict=False).raw_decode(whole.text, position)
        except (json.JSONDecodeError, RecursionError):
            return
    for end in whole.ends:
        if end > position and (string := _string(whole, position + 1, end)) is not None:
            yield string, end + 1


def _string(whole: _Text, start: int, end: int) -> str | None:
    """The string between two marks; None if it is none, or may be an expression or contain a comment."""
    body = whole.text[start:end]
    marks = (match.start() for match in re.finditer(rf"\\.|{whole.quote}", body, re.DOTALL) if len(match[0]) == 1)
    first, second = (*islice(marks, 2), len(body), len(body))[:2]
    gap = body[first + 1 : second]
    if first < len(body) and (_EXPRESSION.fullmatch(gap) or ("\n" in whole.text and _COMMENT.match(gap))):
        return None

    def escaped(match: re.Match[str]) -> str:
        if match[0] == '"' or match[0] == "\\'" == "\\" + whole.quote:
            return '\\"' if match[0] == '"' else "'"
        return match[0] if match[0][1] in '"\\/bfnrtu' else "\\" + match[0]

    try:
        string = loads(f'"{_ESCAPE.sub(escaped, body)}"', strict=False)
    except ValueError:
        return None
    return string if isinstance(string, str) else None
