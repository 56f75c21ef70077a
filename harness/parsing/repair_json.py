"""Repairs JSON: small defects in place, larger ones with the json-repair library, whose result is checked.

The library drops what it cannot place, guesses at quotation marks, strips strings, and is slow per character. So it
gets a placeholder for each string, and its result counts only if it contains every word, number and string of the text,
in the same order, as a key or not as before, and nothing else. It may add brackets but not drop any.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.parsing.json_text import STRING, decoder, dumps, is_too_deep, loads, outside_strings

_LONGEST = 64_000
"""Limit in characters, strings excluded. The library needs 0.25 s for half of it."""

_MARK = "\ue000"
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")
_TOKEN = re.compile(
    rf"\s*+(?:(?P<string>{STRING.pattern}|'(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)')"
    r"|(?P<number>-?\d[\w.+-]*+)|(?P<word>[A-Za-z_$][\w$.-]*+)|[{}\[\],:])(?P<key>(?=\s*:))?",
    re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}

Atom = tuple[str, bool]
"""A string, number or word as JSON, and whether it is a key."""


@dataclass
class _Tokens:
    """The tokens of a text, and the text with placeholders for its strings. `is_guess`: some token is not JSON."""

    atoms: list[Atom] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    short: str = ""
    is_guess: bool = False


def repaired(text: str) -> tuple[dict[str, Any], bool] | None:
    """The object that the library makes of a text, and whether it is a guess (a string was not in double quotes)."""
    tokens = _tokenize(text) if text.startswith("{") and not is_too_deep(text) else None
    if tokens is None:
        return None
    from json_repair import repair_json

    rebuilt = repair_json(tokens.short, return_objects=True, skip_json_loads=True)
    value = _with_strings(rebuilt, tokens.strings)
    if not isinstance(value, dict) or not value or [*_atoms_in(value)] != tokens.atoms:
        return None
    given, built = (outside_strings(shown) for shown in (tokens.short, dumps(rebuilt)))
    return (value, tokens.is_guess) if all(given.count(mark) <= built.count(mark) for mark in "{}[]:") else None


def _tokenize(text: str) -> _Tokens | None:
    """Split a text into tokens; None if it contains anything else, or is too long.

    Two adjacent strings of which the second is no key may be one string with unescaped quotes, or an expression.
    """
    tokens, pieces = _Tokens(), []
    position, length, was_string = 0, 0, False
    while match := _TOKEN.match(text, position):
        is_key, is_string = match["key"] is not None, bool(match["string"])
        if length > _LONGEST or _MARK in match[0] or (is_string and was_string and not is_key):
            return None
        pieces.append(match[0])
        if is_string or match["number"] or match["word"]:
            tokens.atoms.append((_atom(match), is_key))
        if is_string:
            pieces[-1] = f' "{_MARK}{len(tokens.strings)}{_MARK}"'
            tokens.strings.append(json.loads(tokens.atoms[-1][0]))
        is_bare = bool(match["word"]) and not is_key and match["word"] not in _WORDS
        tokens.is_guess = tokens.is_guess or is_bare or match["single"] is not None
        position, length, was_string = match.end(), length + len(pieces[-1]), is_string
    tokens.short = "".join(pieces)
    return tokens if not text[position:].strip() else None


def _atom(match: re.Match[str]) -> str:
    if word := match["word"]:
        return dumps(_WORDS[word] if word in _WORDS and match["key"] is None else word)
    if match["single"] is not None:
        return dumps(loads(f'"{in_double_quotes(match["single"])}"', strict=False))
    return dumps(loads(match["string"] or match["number"], strict=False))


def _atoms_in(value: Any) -> Iterator[Atom]:
    if isinstance(value, list):
        for item in value:
            yield from _atoms_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield dumps(str(key)), True
            yield from _atoms_in(item)
    else:
        yield dumps(value), False


def _with_strings(value: Any, strings: Sequence[str]) -> Any:
    """The value with its strings in place of the placeholders."""
    if isinstance(value, str):
        return _MARKED.sub(lambda match: strings[int(match[1])], value)
    if isinstance(value, list):
        return [_with_strings(item, strings) for item in value]
    if isinstance(value, dict):
        return {_with_strings(key, strings): _with_strings(item, strings) for key, item in value.items()}
    return value


# ------------------------------------------------------------------------------------- repairs of a few characters

_MOST = 32
"""Limit of repairs in one text; each decodes the whole text again."""

_BARE_KEY = re.compile(r"([A-Za-z_$][\w$-]*)\s*:")
_KEY = re.compile(r"(?:\"[^\"\\]*\"|'[^'\\]*')\s*:")
_IN_SINGLE = re.compile(r"\\.|\"", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CLOSE = re.compile(r"\s*[}\]]")


@dataclass(frozen=True)
class Prefix:
    """The value at the start of a text, and the `tail` after it. `is_repaired`: more than trailing commas was repaired.

    `is_ambiguous`: a key without quotation marks follows a string although other keys have them. It may be part of that
    string.
    """

    value: Any
    tail: str
    is_repaired: bool
    is_ambiguous: bool = False


def read_prefix(text: str) -> Prefix | None:
    """Decode the JSON at the start of `text`, control characters included; None if small repairs do not help.

    Repairs trailing and missing commas, keys without quotation marks, and comments. Raises ValueError for other
    defects (a key given twice, NaN).
    """
    is_repaired = is_ambiguous = False
    has_keys = bool(_KEY.search(text))
    for _ in range(_MOST):
        try:
            value, end = decoder(strict=False).raw_decode(text)
        except json.JSONDecodeError as stop:
            is_ambiguous = is_ambiguous or (has_keys and _follows_string(text, stop.pos))
            text, is_edit = _edited(text, stop.pos, stop.msg)
            if not text:
                return None
            is_repaired = is_repaired or is_edit
        else:
            return Prefix(value, text[end:], is_repaired, is_ambiguous)
    return None


def _follows_string(text: str, position: int) -> bool:
    """Whether a key without quotation marks follows a string here."""
    before = text[:position].rstrip().removesuffix(",").rstrip()
    return _BARE_KEY.match(text, position) is not None and before.endswith('"')


def in_double_quotes(inside: str) -> str:
    """The inside of a single-quoted string, escaped for double quotation marks."""
    return _IN_SINGLE.sub(lambda match: {'"': '\\"', "\\'": "'"}.get(match[0], match[0]), inside)


def _edited(text: str, position: int, why: str) -> tuple[str, bool]:
    """The text repaired where the decoder stopped (empty: impossible), and if more than a trailing comma changed."""
    before, after = text[:position].rstrip(), text[position:]
    if before.endswith(",") and _CLOSE.match(after):
        return before[:-1] + after, False
    if after.startswith(",") and _CLOSE.match(after, 1):  # Python 3.13 stops at the comma itself
        return before + after[1:], False
    comment = _COMMENT.match(after)
    is_touching = before.endswith('"') and before == text[:position]
    if comment and (is_touching or ('"' in before and '"' in comment[0])):
        return "", False  # the string before it may continue here
    if comment:
        return before + " " + after[comment.end() :], True
    key = _BARE_KEY.match(after)
    if why.startswith("Expecting property name") and key:
        return f'{before}"{key[1]}"{after[key.end(1) :]}', True
    # A string that is no key may be part of the string before it, or of an expression.
    is_next = _KEY.match(after) or after[:1] in ("{", "[") or (key and "\n" in text[len(before) : position])
    if (
        why.startswith("Expecting ','") and is_next and not is_touching
    ):  # two touching strings are one string with unescaped quotes
        return f"{before},{after}", True
    return "", False
