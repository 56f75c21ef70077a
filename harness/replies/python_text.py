"""Reads a dict as Python writes it. What JSON cannot say of it (tuples, say) is for the caller to see to."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from harness.replies.json_text import Conflict

# Strings in a row are no tokens: in Python they are one, but where JSON was meant they are one that quotes.
_STRING = (
    r"(?:'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+\"\"\""
    r"|'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")"
)
_STRINGS = re.compile(_STRING, re.DOTALL)
_LITERAL = re.compile(
    r"\{(?:[\s{}\[\](),:]++|\b(?:True|False|None|true|false|null)\b|[-+]?\.?\d[\w.]*+(?:(?<=[eE])[-+]\d++)?"
    rf"|{_STRING}(?!\s*[\"']))*+(?<=\}})",
    re.DOTALL,
)
_JSON_TOKENS = re.compile(r'(?:[^"\'TFN]++|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")*+', re.DOTALL)
_SINGLE_QUOTED = re.compile(r"[:,\[{]\s*'")
_JSON_WORDS = ("true", "false", "null")
_RAW_LINE_END = re.compile(r"(\\.)|([\r\n])", re.DOTALL)


def read_python(text: str) -> dict[Any, Any] | None:
    """The dict that a text is, with JSON's own words and raw line ends taken for what they mean; None where it is none.

    Python is asked only where every token is one of a literal, and some could stand in no JSON. Raises what
    `ast.literal_eval` does, and `Conflict` where a key stands twice.
    """
    if _JSON_TOKENS.fullmatch(text) or not _LITERAL.fullmatch(text):
        return None
    if "\n" in text or "\r" in text:
        text = _STRINGS.sub(_on_one_line, text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text, mode="eval")
    has_json_words = any(word in text for word in _JSON_WORDS)
    value = ast.literal_eval(_JsonWords().visit(tree) if has_json_words else tree)
    if isinstance(tree.body, ast.Dict) and len(tree.body.keys) != len(value):
        raise Conflict("a key stands twice")
    return value if isinstance(value, dict) else None


def is_open(text: str, outside: str) -> bool:
    """Whether strings in single quotation marks stand in a text (`outside` of the double ones) and one does not end."""
    if not _SINGLE_QUOTED.search(outside):
        return False
    rest = _STRINGS.sub("", text)
    return "'" in rest or '"' in rest or rest.count("{") > rest.count("}")


def _on_one_line(string: re.Match[str]) -> str:
    """A string with its raw line ends escaped, save one in three quotation marks, which may hold them."""
    is_block = string[0].startswith(("'''", '"""'))
    return (
        string[0]
        if is_block
        else _RAW_LINE_END.sub(lambda found: found[1] or ("\\n" if found[2] == "\n" else "\\r"), string[0])
    )


class _JsonWords(ast.NodeTransformer):
    """Reads JSON's own words where they stand in a Python literal."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        words = {"true": True, "false": False, "null": None}
        return ast.copy_location(ast.Constant(words[node.id]), node) if node.id in words else node
