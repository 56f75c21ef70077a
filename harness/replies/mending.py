"""Reads JSON that is a few characters away from being any: each is mended at the place where the decoder stopped.

Every string stays as it stands, so nothing of what was said is guessed: only what stands between strings is put right.
What would be thrown away (a comment) or made a key is looked at twice, since a quotation mark that was not escaped ends
a string too early, and then what seems to stand between strings is the rest of one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from harness.replies.json_text import decoder

_MOST = 32
"""Places mended in one text; each costs one more look at all of it."""

_BARE_KEY = re.compile(r"([A-Za-z_$][\w$-]*)\s*:")
_KEY = re.compile(r"(?:\"[^\"\\]*\"|'[^'\\]*')\s*:")
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\\n]|\\(?:['\"\\bfnrt]|u[0-9a-fA-F]{4}))*+)'(?=\s*[,:}\]]|[ \t]*\n)")
_IN_SINGLE = re.compile(r"\\.|\"", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CLOSE = re.compile(r"\s*[}\]]")


@dataclass(frozen=True)
class Mended:
    """What a text begins with, and the `tail` behind it. `is_repaired`: more than last commas had to be mended.

    `is_ambiguous`: behind a string stands a key without quotation marks, though others have them. It may be a word of a
    string that went on.
    """

    value: Any
    tail: str
    is_repaired: bool
    is_ambiguous: bool = False


def read_mended(text: str, *, single_quotes: bool = False) -> Mended | None:
    """Decode the JSON that `text` begins with, control characters in strings and all; None where it is too far off.

    Put right are commas before a closing bracket and commas that are missing, keys without quotation marks (and
    strings in single ones behind them; before any such key only if `single_quotes`, since Python may read them all),
    and comments. Raises ValueError for what no mending helps (a key given twice, NaN).
    """
    is_repaired = is_ambiguous = False
    has_keys = bool(_KEY.search(text))
    quotes = "\"'" if single_quotes else '"'
    for _ in range(_MOST):
        try:
            value, end = decoder(strict=False).raw_decode(text)
        except json.JSONDecodeError as stop:
            quoted = _SINGLE_QUOTED.match(text, stop.pos) if is_repaired or single_quotes else None
            if quoted:
                text = f'{text[: stop.pos]}"{in_double_quotes(quoted[1])}"{text[quoted.end() :]}'
                is_repaired, quotes = True, "\"'"
                continue
            is_ambiguous = is_ambiguous or (has_keys and _follows_string(text, stop.pos))
            text, is_edit = _edited(text, stop.pos, stop.msg, quotes)
            if not text:
                return None
            is_repaired = is_repaired or is_edit
        else:
            return Mended(value, text[end:], is_repaired, is_ambiguous)
    return None


def _follows_string(text: str, at: int) -> bool:
    """Whether a key without quotation marks begins here, and a string ends before it."""
    before = text[:at].rstrip().removesuffix(",").rstrip()
    return _BARE_KEY.match(text, at) is not None and before.endswith('"')


def in_double_quotes(inside: str) -> str:
    """What stands in single quotation marks, as it stands in double ones."""
    return _IN_SINGLE.sub(lambda found: {'"': '\\"', "\\'": "'"}.get(found[0], found[0]), inside)


def _edited(text: str, at: int, why: str, quotes: str) -> tuple[str, bool]:
    """The text with the place mended that the decoder stopped at (empty: no mending known), and if that is a repair."""
    before, after = text[:at].rstrip(), text[at:]
    if before.endswith(",") and _CLOSE.match(after):
        return before[:-1] + after, False
    if after.startswith(",") and _CLOSE.match(after, 1):  # Python 3.13 stops at the comma itself
        return before + after[1:], False
    comment = _COMMENT.match(after)
    is_touching = before.endswith('"') and before == text[:at]
    if comment and (is_touching or ('"' in before and any(mark in comment[0] for mark in quotes))):
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
