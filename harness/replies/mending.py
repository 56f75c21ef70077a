"""Reads JSON that is a few characters away from being any: each is mended at the place where the decoder stopped.

Every string stays as it stands, so nothing of what was said is guessed: only what stands between strings is put right.
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
_SINGLE_QUOTED = re.compile(r"'((?:[^'\\\n]|\\(?:['\"\\bfnrt]|u[0-9a-fA-F]{4}))*+)'(?=\s*[,:}\]]|[ \t]*\n)")
_IN_SINGLE = re.compile(r"\\.|\"")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CLOSE = re.compile(r"\s*[}\]]")


@dataclass(frozen=True)
class Mended:
    """What a text begins with, and the `tail` behind it. `is_repaired`: more than last commas had to be mended."""

    value: Any
    tail: str
    is_repaired: bool


def read_mended(text: str, *, single_quotes: bool = False) -> Mended | None:
    """Decode the JSON that `text` begins with, control characters in strings and all; None where it is too far off.

    Put right are commas before a closing bracket and commas that are missing, keys without quotation marks (and
    strings in single ones behind them; before any such key only if `single_quotes`, since Python may read them all),
    and comments. Raises ValueError for what no mending helps (a key given twice, NaN).
    """
    is_repaired = False
    for _ in range(_MOST):
        try:
            value, end = decoder(strict=False).raw_decode(text)
        except json.JSONDecodeError as stop:
            quoted = _SINGLE_QUOTED.match(text, stop.pos) if is_repaired or single_quotes else None
            if quoted and (text[: stop.pos].rstrip()[-1:] in ",:{["):
                text = f'{text[: stop.pos]}"{_IN_SINGLE.sub(_in_double, quoted[1])}"{text[quoted.end() :]}'
                is_repaired = True
                continue
            text, is_edit = _edited(text, stop.pos, stop.msg, "\"'" if single_quotes else '"')
            if not text:
                return None
            is_repaired = is_repaired or is_edit
        else:
            return Mended(value, text[end:], is_repaired)
    return None


def _in_double(found: re.Match[str]) -> str:
    """A quotation mark or an escape of a string in single quotation marks, as it stands in double ones."""
    return {'"': '\\"', "\\'": "'"}.get(found[0], found[0])


def _edited(text: str, at: int, why: str, quotes: str) -> tuple[str, bool]:
    """The text with the place mended that the decoder stopped at (empty: no mending known), and if that is a repair."""
    before, after = text[:at].rstrip(), text[at:]
    if before.endswith(",") and _CLOSE.match(after):
        return before[:-1] + after, False
    if after.startswith(",") and _CLOSE.match(after, 1):  # Python 3.13 stops at the comma itself
        return before + after[1:], False
    if comment := _COMMENT.match(after):
        return before + " " + after[comment.end() :], True
    key = _BARE_KEY.match(after)
    if why.startswith("Expecting property name") and key:
        return f'{before}"{key[1]}"{after[key.end(1) :]}', True
    is_parted = before != text[:at] or not before.endswith('"')  # two strings that touch are one that quotes
    is_next = after[:1] in tuple(quotes + "{[") or (key and "\n" in text[len(before) : at])
    if why.startswith("Expecting ','") and is_parted and is_next:
        return f"{before},{after}", True
    return "", False
