"""Reads a dict written as a Python literal. Values that JSON cannot represent (tuples) are left to the caller."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from harness.parsing.json_text import Conflict

# Adjacent strings are not accepted: Python joins them, but in intended JSON they are one string with unescaped quotes.
_STRING = (
    r"(?:'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+\"\"\""
    r"|'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")"
)
_STRINGS = re.compile(_STRING, re.DOTALL)
# An unclosed string extends to the end of the text; otherwise every quotation mark in it would be tried again.
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
    """The dict written in a text, with raw line ends accepted; None if the text is no dict.

    The second value tells whether it is a guess: a backslash that JSON does not know as an escape stands for itself,
    although Python may read one (`\\1`, `\\x41`, at the end of a line). A triple-quoted string is a guess too.

    The text is parsed only if all its tokens belong to a literal and some are not JSON. Raises what `ast.literal_eval`
    does, and `Conflict` if a key is given twice.
    """
    if _JSON_TOKENS.fullmatch(text) or not _LITERAL.fullmatch(text):
        return None
    strings = [match[0] for match in _STRINGS.finditer(text)]
    blocks = [string for string in strings if string.startswith(_BLOCKS)]
    if any("\n" not in block or block[3] == block[0] for block in blocks):
        raise Conflict("triple quotation marks around a line may be unescaped ones in a string")
    has_odd = "\\" in text and not all(map(_JSON_ESCAPES.fullmatch, strings))
    if has_odd or "\n" in text or "\r" in text:
        text = _STRINGS.sub(_as_written, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text, mode="eval")
    value = ast.literal_eval(tree)
    if isinstance(tree.body, ast.Dict) and len(tree.body.keys) != len(value):
        raise Conflict("a key is given twice")
    return (value, has_odd or bool(blocks)) if isinstance(value, dict) else None


def is_open(text: str, outside: str) -> bool:
    """Whether a text has an unclosed single-quoted string; `outside` is the text outside double quotation marks."""
    if not _SINGLE_QUOTED.search(outside):
        return False
    rest = _OR_OPEN.sub(lambda match: "'" if match["open"] else "", text)
    return "'" in rest or rest.count("{") > rest.count("}")


def _as_written(string: re.Match[str]) -> str:
    """A string with raw line ends and unknown escapes escaped; triple-quoted strings may contain line ends."""
    is_block = string[0].startswith(_BLOCKS)

    def escape(match: re.Match[str]) -> str:
        if match[3]:
            return match[3] if is_block else "\\n" if match[3] == "\n" else "\\r"
        continues = is_block and string[0][match.end() :][:1] == "\n"  # often ends the first line of a block
        return match[1] or ("\\" if continues else "\\\\")

    return _ODD.sub(escape, string[0])
