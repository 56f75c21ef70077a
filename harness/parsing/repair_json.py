"""Has the json-repair library repair what is further off than `mending` goes, and checks that nothing was lost by it.

The library drops what it cannot place, guesses at quotation marks, strips strings and looks long at each letter. So it
is shown a mark in place of each string, and what it made counts only if every word, number and string that stood in the
text stands in it, in the same order and as a key or not as before, and nothing else does. It may add brackets, but drop
none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.parsing.json_text import STRING, decoder, dumps, is_too_deep, loads, outside_strings

_LONGEST = 64_000
"""Characters without strings; the library takes a quarter of a second for half of that."""

_MARK = "\ue000"
_MARKED = re.compile(f"{_MARK}(\\d+){_MARK}")
_TOKEN = re.compile(
    rf"\s*+(?:(?P<string>{STRING.pattern}|'(?P<single>[^'\\]*+(?:\\.[^'\\]*+)*+)')"
    r"|(?P<number>-?\d[\w.+-]*+)|(?P<word>[A-Za-z_$][\w$.-]*+)|[{}\[\],:])(?P<key>(?=\s*:))?",
    re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}

Atom = tuple[str, bool]
"""A string, a number or a word as JSON writes it, and whether it is a key."""


@dataclass
class _Tokens:
    """What a text says, and the text with marks for its strings. `is_guess`: JSON would not take all of it."""

    atoms: list[Atom] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    short: str = ""
    is_guess: bool = False


def repaired(text: str) -> tuple[dict[str, Any], bool] | None:
    """The object that the library makes of a text, and whether it is a guess (a string without JSON's marks)."""
    said = _tokenize(text) if text.startswith("{") and not is_too_deep(text) else None
    if said is None:
        return None
    from json_repair import repair_json

    made = repair_json(said.short, return_objects=True, skip_json_loads=True)
    value = _with_strings(made, said.strings)
    if not isinstance(value, dict) or not value or [*_atoms_in(value)] != said.atoms:
        return None
    given, built = (outside_strings(shown) for shown in (said.short, dumps(made)))
    return (value, said.is_guess) if all(given.count(mark) <= built.count(mark) for mark in "{}[]:") else None


def _tokenize(text: str) -> _Tokens | None:
    """Take a text apart; None if anything but JSON's tokens stands in it, or too many of them.

    Two strings with nothing between them, if the second is no key, may be one that quotes, or an expression.
    """
    said, pieces = _Tokens(), []
    at, length, was_string = 0, 0, False
    while found := _TOKEN.match(text, at):
        is_key, is_string = found["key"] is not None, bool(found["string"])
        if length > _LONGEST or _MARK in found[0] or (is_string and was_string and not is_key):
            return None
        pieces.append(found[0])
        if is_string or found["number"] or found["word"]:
            said.atoms.append((_atom(found), is_key))
        if is_string:
            pieces[-1] = f' "{_MARK}{len(said.strings)}{_MARK}"'
            said.strings.append(json.loads(said.atoms[-1][0]))
        is_bare = bool(found["word"]) and not is_key and found["word"] not in _WORDS
        said.is_guess = said.is_guess or is_bare or found["single"] is not None
        at, length, was_string = found.end(), length + len(pieces[-1]), is_string
    said.short = "".join(pieces)
    return said if not text[at:].strip() else None


def _atom(found: re.Match[str]) -> str:
    if word := found["word"]:
        return dumps(_WORDS[word] if word in _WORDS and found["key"] is None else word)
    if found["single"] is not None:
        return dumps(loads(f'"{in_double_quotes(found["single"])}"', strict=False))
    return dumps(loads(found["string"] or found["number"], strict=False))


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
    """The value with the strings back in it, wherever their marks went."""
    if isinstance(value, str):
        return _MARKED.sub(lambda found: strings[int(found[1])], value)
    if isinstance(value, list):
        return [_with_strings(item, strings) for item in value]
    if isinstance(value, dict):
        return {_with_strings(key, strings): _with_strings(item, strings) for key, item in value.items()}
    return value


# ------------------------------------------------------------------------------------- repairs of a few characters

_MOST = 32
"""Places mended in one text; each costs one more look at all of it."""

_BARE_KEY = re.compile(r"([A-Za-z_$][\w$-]*)\s*:")
_KEY = re.compile(r"(?:\"[^\"\\]*\"|'[^'\\]*')\s*:")
_IN_SINGLE = re.compile(r"\\.|\"", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CLOSE = re.compile(r"\s*[}\]]")


@dataclass(frozen=True)
class Prefix:
    """What a text begins with, and the `tail` behind it. `is_repaired`: more than last commas had to be mended.

    `is_ambiguous`: behind a string stands a key without quotation marks, though others have them. It may be a word of a
    string that went on.
    """

    value: Any
    tail: str
    is_repaired: bool
    is_ambiguous: bool = False


def read_prefix(text: str) -> Prefix | None:
    """Decode the JSON that `text` begins with, control characters in strings and all; None where it is too far off.

    Put right are commas before a closing bracket and commas that are missing, keys without quotation marks, and
    comments. Raises ValueError for what no mending helps (a key given twice, NaN).
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


def _follows_string(text: str, at: int) -> bool:
    """Whether a key without quotation marks begins here, and a string ends before it."""
    before = text[:at].rstrip().removesuffix(",").rstrip()
    return _BARE_KEY.match(text, at) is not None and before.endswith('"')


def in_double_quotes(inside: str) -> str:
    """What stands in single quotation marks, as it stands in double ones."""
    return _IN_SINGLE.sub(lambda found: {'"': '\\"', "\\'": "'"}.get(found[0], found[0]), inside)


def _edited(text: str, at: int, why: str) -> tuple[str, bool]:
    """The text with the place mended that the decoder stopped at (empty: no mending known), and if that is a repair."""
    before, after = text[:at].rstrip(), text[at:]
    if before.endswith(",") and _CLOSE.match(after):
        return before[:-1] + after, False
    if after.startswith(",") and _CLOSE.match(after, 1):  # Python 3.13 stops at the comma itself
        return before + after[1:], False
    comment = _COMMENT.match(after)
    is_touching = before.endswith('"') and before == text[:at]
    if comment and (is_touching or ('"' in before and '"' in comment[0])):
        return "", False  # the string before it may go on there
    if comment:
        return before + " " + after[comment.end() :], True
    key = _BARE_KEY.match(after)
    if why.startswith("Expecting property name") and key:
        return f'{before}"{key[1]}"{after[key.end(1) :]}', True
    # A string that is no key may belong to the one before it, or to an expression that JSON does not know.
    is_next = _KEY.match(after) or after[:1] in ("{", "[") or (key and "\n" in text[len(before) : at])
    if why.startswith("Expecting ','") and is_next and not is_touching:  # two strings that touch are one that quotes
        return f"{before},{after}", True
    return "", False
