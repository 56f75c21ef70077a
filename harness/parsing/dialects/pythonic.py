"""Pythonic calls: `[f(k="v"), g()]` of Llama 4, `f(k="v")` of Granite 3.3; keyword arguments with literal values only.

Source: vLLM's pythonic and llama4_pythonic parsers; Granite: vllm#43116. Read only if it is the whole reply.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any

from harness.parsing.dialects.base import NAME, Block
from harness.parsing.json_text import Conflict, dumps, is_too_deep, loads
from harness.parsing.text_call_types import Parameters, TextCall

_OPENING = r"(?:<\|python_(?:tag|start)\|>|<tool_call>)"
_START = re.compile(rf"\s*(?:{_OPENING}\s*)?\[?\s*(?P<name>{NAME})\(")
_AROUND = re.compile(rf"\A\s*{_OPENING}|(?:<\|(?:python_end|eom_id|eot_id)\|>|</tool_call>)\s*\Z")
_INSIDE = re.compile(rf"(?<![\w.(])\[?(?P<name>{NAME})\((?=\w+\s*=)")
_LONGEST = 200_000
_MOST = 8
"""Starts of calls that are tried at the end of a text."""


@dataclass(frozen=True)
class _Pythonic:
    name: str = "pythonic"
    markers: tuple[str, ...] = ("(",)

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        start = _START.match(text)
        if start is None or parameters(start["name"]) is None or len(text) > _LONGEST:
            return []
        source = _AROUND.sub("", text).strip()
        expressions = _expressions(source)
        if expressions is None:
            # A sentence may begin with a call in brackets; only what cannot go on as one is answered.
            is_call = source.startswith("[") and re.match(r"\[?\s*[\w.]+\(\s*(?:\)|\w+\s*=)", source) is not None
            is_open = not source.endswith((")", "]"))
            call = TextCall(start["name"], None, source, is_cut=is_open)
            return [Block(0, len(text), (call,))] if is_call and "\n\n" not in source else []
        calls = [_call(expression, source) for expression in expressions]
        if any(call is None for call in calls):
            return []
        return [Block(0, len(text), tuple(call for call in calls if call))]


def ends_with_call(text: str, parameters: Parameters) -> bool:
    """Whether a text ends with a call with arguments."""
    starts = [match.start() for match in _INSIDE.finditer(text) if parameters(match["name"]) is not None]
    found = (block for start in starts[-_MOST:] for block in DIALECTS[0].find(text[start:], parameters, is_cut=False))
    return any(call.arguments for block in found for call in block.calls)


def _expressions(source: str) -> list[ast.expr] | None:
    """The elements of a list, or the one expression; None if the text is no Python expression."""
    if is_too_deep(source):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return list(body.elts) if isinstance(body, ast.List) else [body]


def _call(expression: ast.expr, source: str) -> TextCall | None:
    """A call with keyword arguments; unreadable if one is no literal. None: no call of a name."""
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, (ast.Name, ast.Attribute)):
        return None
    name = ast.unparse(expression.func)
    raw = ast.get_source_segment(source, expression) or source
    keys = [keyword.arg for keyword in expression.keywords]
    if expression.args or None in keys or len(set(keys)) < len(keys):
        return TextCall(name, None, raw)
    try:
        arguments: dict[str, Any] = {str(item.arg): ast.literal_eval(item.value) for item in expression.keywords}
        return TextCall(name, loads(dumps(arguments)), raw)
    except (ValueError, TypeError, SyntaxError, RecursionError, Conflict):
        return TextCall(name, None, raw)


DIALECTS = (_Pythonic(),)
