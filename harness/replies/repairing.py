"""Has the json-repair library repair what is further off than `mending` goes, and checks that nothing was lost by it.

The library drops what it cannot place and guesses at quotation marks. So what it made counts only if every word,
number and string that stood in the text stands in it, in the same order and the same place, and nothing else did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.replies.json_text import STRING, dumps, is_one_object, is_too_deep, loads
from harness.replies.mending import in_double_quotes

_LONGEST = 64_000
# Characters; where no string is long, the library takes a quarter of a second for half of that.
_LONG = 80
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


def repaired(text: str) -> tuple[dict[str, Any], bool] | None:
    """The object that the library makes of a text, and whether it is a guess (a string without JSON's marks)."""
    if not text.startswith("{") or len(text) > _LONGEST or is_too_deep(text) or not is_one_object(text):
        return None
    short, kept = _shortened(text)
    given = _atoms_said(short)
    if given is None:
        return None
    from json_repair import repair_json

    value = repair_json(short, return_objects=True, skip_json_loads=True)
    if not isinstance(value, dict) or not value or [*_atoms_in(value)] != given[0]:
        return None
    return _lengthened(value, kept), given[1]


def _atoms_said(text: str) -> tuple[list[Atom], bool] | None:
    """What stands in a text, and if a string is among it that JSON would not take; None if anything but tokens stands.

    Two strings with nothing between them, if the second is no key, may be one that quotes, or an expression.
    """
    atoms: list[Atom] = []
    at, is_guess, was_string = 0, False, False
    while found := _TOKEN.match(text, at):
        is_key = found["key"] is not None
        if found["string"] and was_string and not is_key:
            return None
        if found["string"] or found["number"] or found["word"]:
            atoms.append((_atom(found), is_key))
        is_bare = bool(found["word"]) and not is_key and found["word"] not in _WORDS
        is_guess = is_guess or is_bare or found["single"] is not None
        at, was_string = found.end(), bool(found["string"])
    return (atoms, is_guess) if not text[at:].strip() else None


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


def _shortened(text: str) -> tuple[str, list[str]]:
    """The text with a mark in place of each long string, and those strings: the library looks long at each letter."""
    kept: list[str] = []

    def mark(found: re.Match[str]) -> str:
        if len(found[0]) < _LONG:
            return found[0]
        try:
            string = loads(found[0], strict=False)
        except ValueError:
            return found[0]
        kept.append(string)
        return f'"{_MARK}{len(kept) - 1}{_MARK}"'

    return (text if _MARK in text else STRING.sub(mark, text)), kept


def _lengthened(value: Any, kept: Sequence[str]) -> Any:
    """The value with the long strings back in it, wherever their marks went."""
    if isinstance(value, str):
        return _MARKED.sub(lambda found: kept[int(found[1])], value) if kept else value
    if isinstance(value, list):
        return [_lengthened(item, kept) for item in value]
    if isinstance(value, dict):
        return {_lengthened(key, kept): _lengthened(item, kept) for key, item in value.items()}
    return value
