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

from harness.replies.json_text import STRING, dumps, is_too_deep, loads, outside_strings
from harness.replies.mending import in_double_quotes

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
class _Said:
    """What a text says, and the text with marks for its strings. `is_guess`: JSON would not take all of it."""

    atoms: list[Atom] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    short: str = ""
    is_guess: bool = False


def repaired(text: str) -> tuple[dict[str, Any], bool] | None:
    """The object that the library makes of a text, and whether it is a guess (a string without JSON's marks)."""
    said = _said(text) if text.startswith("{") and not is_too_deep(text) else None
    if said is None:
        return None
    from json_repair import repair_json

    made = repair_json(said.short, return_objects=True, skip_json_loads=True)
    value = _with_strings(made, said.strings)
    if not isinstance(value, dict) or not value or [*_atoms_in(value)] != said.atoms:
        return None
    given, built = (outside_strings(shown) for shown in (said.short, dumps(made)))
    return (value, said.is_guess) if all(given.count(mark) <= built.count(mark) for mark in "{}[]:") else None


def _said(text: str) -> _Said | None:
    """Take a text apart; None if anything but JSON's tokens stands in it, or too many of them.

    Two strings with nothing between them, if the second is no key, may be one that quotes, or an expression.
    """
    said, pieces = _Said(), []
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
