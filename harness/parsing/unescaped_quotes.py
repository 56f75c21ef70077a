"""Reads an object in whose strings quotation marks stand that were not escaped, if that can be done in one way only.

A string ends at a mark behind which the object goes on with a key that the tool has and that was not given yet, or
ends; so whatever is read reaches to the very last mark. All ways to read the text so are tried, and one is too many.
What is read may still not be what was meant, so that it is always ambiguous.
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
"""Marks in one text at which a string could end; with more of them the ways to read it are not counted."""

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
    """The object that a text is if its strings hold bare quotation marks; None where it is none, or may be several.

    `known` are the keys that it may have (none: any), `needed` those that it must have.
    """
    opening = re.match(r"\{[^\"']*([\"'])", text)
    if not opening:
        return None
    quote = opening[1]
    names = "|".join(map(re.escape, known))
    key = rf"\s*({quote}?)({names})\1\s*:\s*" if known else rf"\s*({quote})(\w+)\1\s*:\s*"
    ends = re.finditer(rf"{quote}(?=\s*,{key}|{_END.pattern})", text)
    found = [end.start() for end in islice(ends, _MOST + 1)]
    if len(found) > _MOST:
        return None
    whole = _Text(text, quote, tuple(found), re.compile(key))
    readings = [*islice((value for value in _rest(whole, 1, {}) if all(key in value for key in needed)), 2)]
    return readings[0] if len(readings) == 1 else None


def _rest(whole: _Text, at: int, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All ways to go on at a key, with what was `given` before it."""
    key = whole.key.match(whole.text, at)
    if key is None or key[2] in given:
        return
    for value, end in _values(whole, key.end()):
        now = {**given, key[2]: value}
        if _END.match(whole.text, end):
            yield now
        elif comma := re.compile(r"\s*,").match(whole.text, end):
            yield from _rest(whole, comma.end(), now)


def _values(whole: _Text, at: int) -> Iterator[tuple[Any, int]]:
    """The values that may begin here, and where each ends."""
    if not whole.text.startswith(whole.quote, at):
        try:
            yield decoder(strict=False).raw_decode(whole.text, at)
        except (json.JSONDecodeError, RecursionError):
            return
    for end in whole.ends:
        if end > at and (string := _string(whole, at + 1, end)) is not None:
            yield string, end + 1


def _string(whole: _Text, start: int, end: int) -> str | None:
    """The string between two marks; None where it cannot be one, or could be an expression or hold a comment."""
    body = whole.text[start:end]
    marks = (found.start() for found in re.finditer(rf"\\.|{whole.quote}", body, re.DOTALL) if len(found[0]) == 1)
    first, second = (*islice(marks, 2), len(body), len(body))[:2]
    gap = body[first + 1 : second]
    if first < len(body) and (_EXPRESSION.fullmatch(gap) or ("\n" in whole.text and _COMMENT.match(gap))):
        return None

    def escaped(found: re.Match[str]) -> str:
        if found[0] == '"' or found[0] == "\\'" == "\\" + whole.quote:
            return '\\"' if found[0] == '"' else "'"
        return found[0] if found[0][1] in '"\\/bfnrtu' else "\\" + found[0]

    try:
        string = loads(f'"{_ESCAPE.sub(escaped, body)}"', strict=False)
    except ValueError:
        return None
    return string if isinstance(string, str) else None
