"""Reads a dict as Python writes it. What JSON cannot say of it (tuples, say) is for the caller to see to."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from harness.parsing.json_text import Conflict

# Strings in a row are no tokens: in Python they are one, but where JSON was meant they are one that quotes.
_STRING = (
    r"(?:'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+\"\"\""
    r"|'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")"
)
_STRINGS = re.compile(_STRING, re.DOTALL)
# One that never ends is taken to the end of the text; otherwise each quotation mark in it would be tried anew.
_OR_OPEN = re.compile(rf"{_STRING}|(?P<open>['\"].*)", re.DOTALL)
_LITERAL = re.compile(
    r"\{(?:[\s{}\[\](),:]++|\b(?:True|False|None)\b|[-+]?\.?\d[\w.]*+(?:(?<=[eE])[-+]\d++)?"
    rf"|{_STRING}(?!\s*[\"']))*+(?<=\}})",
    re.DOTALL,
)
_JSON_TOKENS = re.compile(r'(?:[^"\'TFN]++|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")*+', re.DOTALL)
_BLOCKS = ("'''", '"""')
_SINGLE_QUOTED = re.compile(r"[:,\[{]\s*'")
_JSON_ESCAPES = re.compile(r"(?:[^\\]++|\\(?:[\\'\"nrtbf/]|u[0-9a-fA-F]{4}))*+", re.DOTALL)
_ODD = re.compile(r"(\\(?:[\\'\"nrtbf/]|u[0-9a-fA-F]{4}))|(\\)|([\r\n])")


def read_python(text: str) -> tuple[dict[Any, Any], bool] | None:
    """The dict that a text is, with raw line ends taken for what they mean; None where it is none.

    The second value tells whether it is a guess: a backslash that is no escape to JSON stands for itself, as in JSON,
    though to Python it may be one (`\\1`, `\\x41`, one at the end of a line); so is a string in three quotation marks.

    Python is asked only where every token is one of a literal, and some could stand in no JSON. Raises what
    `ast.literal_eval` does, and `Conflict` where a key stands twice.
    """
    if _JSON_TOKENS.fullmatch(text) or not _LITERAL.fullmatch(text):
        return None
    strings = [match[0] for match in _STRINGS.finditer(text)]
    blocks = [string for string in strings if string.startswith(_BLOCKS)]
    if any("\n" not in block or block[3] == block[0] for block in blocks):
        raise Conflict("three quotation marks around a line may be bare ones in a string")
    has_odd = "\\" in text and not all(map(_JSON_ESCAPES.fullmatch, strings))
    if has_odd or "\n" in text or "\r" in text:
        text = _STRINGS.sub(_as_written, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text, mode="eval")
    value = ast.literal_eval(tree)
    if isinstance(tree.body, ast.Dict) and len(tree.body.keys) != len(value):
        raise Conflict("a key stands twice")
    return (value, has_odd or bool(blocks)) if isinstance(value, dict) else None


def is_open(text: str, outside: str) -> bool:
    """Whether strings in single quotation marks stand in a text (`outside` of the double ones) and one does not end."""
    if not _SINGLE_QUOTED.search(outside):
        return False
    rest = _OR_OPEN.sub(lambda match: "'" if match["open"] else "", text)
    return "'" in rest or rest.count("{") > rest.count("}")


def _as_written(string: re.Match[str]) -> str:
    """A string with its raw line ends and what is no escape escaped; three quotation marks may hold line ends."""
    is_block = string[0].startswith(_BLOCKS)

    def mended(match: re.Match[str]) -> str:
        if match[3]:
            return match[3] if is_block else "\\n" if match[3] == "\n" else "\\r"
        goes_on = is_block and string[0][match.end() :][:1] == "\n"  # a backslash ends the first line of many a block
        return match[1] or ("\\" if goes_on else "\\\\")

    return _ODD.sub(mended, string[0])
