"""MiniMax M3: tags marked by one token `]<]minimax[>[`, and parameters as elements named like them.

`N<invoke name="f">N<path>vN</path>N<list>N<item>...N</item>N</list>N</invoke>`, N being the token; objects are child
elements, lists `<item>`. A tag without N in a value is text; N in a value makes its end uncertain. Source: vLLM's and
SGLang's minimax_m3 parsers. Read as well: N on the outer tags only (vllm#47001), no N at all (gateways take it out),
and a first parameter without its opening tag (MXFP8 weights, vllm#51073).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.parsing.dialects.base import Block
from harness.parsing.text_call_types import Parameters, TextCall

TOKEN = "]<]minimax[>["
_N = re.escape(TOKEN) + r"\s?"
_INVOKE = re.compile(rf"({_N})?<invoke\s+name\s*=\s*(?P<name>\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>/]+)\s*>")
_INVOKE_END = re.compile(rf"({_N})?</invoke\s*>")
_WRAPPER = "<tool_call>"
_WRAPPER_END = re.compile(rf"\s*(?:{_N})?</tool_call>")
_MARKED = re.compile(rf"{_N}<(?P<close>/?)(?P<tag>[\w.\-]+)\s*>")
_PLAIN = re.compile(r"\s*<(?P<close>/?)(?P<tag>[\w.\-]+)\s*>")


class _Unreadable(ValueError):
    """The elements do not fit; `is_cut` tells that one has no end."""

    def __init__(self, is_cut: bool = False) -> None:
        super().__init__()
        self.is_cut = is_cut


@dataclass
class _Element:
    """An element while it is read: its text pieces and its children."""

    tag: str
    text: str = ""
    children: list[tuple[str, Any]] = field(default_factory=list)

    def value(self, schema: Any) -> Any:
        """Text, a list of `<item>` children, or an object of named ones."""
        if not self.children:
            kind = schema.get("type") if isinstance(schema, Mapping) else None
            return {"array": [], "object": {}}.get(str(kind), self.text) if self.text == "" else self.text
        if self.text.strip():
            raise _Unreadable
        names = [name for name, _ in self.children]
        if set(names) == {"item"}:
            return [value for _, value in self.children]
        if len(set(names)) < len(names):
            raise _Unreadable
        return dict(self.children)


@dataclass(frozen=True)
class _MiniMaxM3:
    name: str = "minimax_m3"
    markers: tuple[str, ...] = (TOKEN, "<tool_call>")

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        # Without the token it is M3's if a wrapper stands somewhere and an element that is no `<parameter` follows.
        may_be_plain = "<parameter " not in text and (_WRAPPER in text or "</tool_call>" in text)
        opened = [
            match
            for match in _INVOKE.finditer(text)
            if TOKEN in text or (may_be_plain and _PLAIN.match(text, match.end()))
        ]
        opened = _without_values(text, opened)
        blocks: list[Block] = []
        for index, match in enumerate(opened):
            if blocks and match.start() < blocks[-1].end:
                continue
            limit = opened[index + 1].start() if index + 1 < len(opened) else len(text)
            start = _start_of_wrapper(text, match.start())
            call, end = _read_call(text, match, limit, parameters)
            close = _WRAPPER_END.match(text, end)
            blocks.append(Block(start, close.end() if close else end, (call,)))
        return blocks


def _without_values(text: str, opened: list[re.Match[str]]) -> list[re.Match[str]]:
    """Leave out calls without the token between a marked one and its marked end: they stand in a value."""
    result: list[re.Match[str]] = []
    inside = 0
    for match in opened:
        if match.start() < inside and not match[1]:
            continue
        result.append(match)
        if match[1]:
            following = next((one.start() for one in opened if one[1] and one.start() > match.start()), len(text))
            inside = max((end.end() for end in _INVOKE_END.finditer(text, match.end(), following) if end[1]), default=0)
    return result


def _start_of_wrapper(text: str, start: int) -> int:
    """The start of the wrapper that opens just before a call; the call's own start without one."""
    wrapper = text.rfind(_WRAPPER, 0, start)
    if wrapper < 0 or text[wrapper + len(_WRAPPER) : start].strip():
        return start
    marked = text[:wrapper].rstrip().removesuffix(TOKEN)
    return len(marked) if text[:wrapper].rstrip().endswith(TOKEN) else wrapper


def _read_call(text: str, opened: re.Match[str], limit: int, parameters: Parameters) -> tuple[TextCall, int]:
    """The call that starts at `opened`, and its end. `limit` is the start of the next call."""
    name = opened["name"].strip("\"'")
    start = opened.end()
    every = list(_INVOKE_END.finditer(text, start, limit))
    ends = [end for end in every if end[1] and opened[1]] or every
    schemas = parameters(name)
    known: Mapping[str, Any] = schemas if isinstance(schemas, Mapping) else {key: {} for key in schemas or ()}
    if not ends:
        return TextCall(name, None, text[opened.start() : limit], is_cut=True), limit
    body, end = text[start : ends[-1].start()], ends[-1].end()
    raw = text[opened.start() : end]
    is_marked = TOKEN in body
    try:
        arguments, is_sure = _marked(body, known) if is_marked else _plain(body, known)
    except _Unreadable as problem:
        return TextCall(name, None, raw, is_ambiguous=not problem.is_cut, is_cut=problem.is_cut), end
    is_sure &= len(ends) == 1 and every[-1] is ends[0]  # an end without the token after it belongs to a call around it
    return TextCall(name, arguments, raw, is_ambiguous=not is_sure), end


def _marked(body: str, known: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The elements of a body whose tags carry the token. Raises `_Unreadable`."""
    body = body[: -len(TOKEN)] if body.endswith(TOKEN) else body
    root, position = _Element(""), 0
    stack: list[_Element] = []
    for match in _MARKED.finditer(body):
        current = stack[-1] if stack else root
        text = body[position : match.start()]
        tag, position = match["tag"], match.end()
        if match["close"]:
            if not stack:
                # The first opening tag is missing; the closing one names the parameter.
                value = text.removeprefix(TOKEN)
                if root.children or tag not in known or TOKEN in value or value == text:
                    raise _Unreadable
                root.children.append((tag, value))
                continue
            if stack[-1].tag != tag or TOKEN in text:
                raise _Unreadable
            current.text += text
            stack.pop()
            parent = stack[-1] if stack else root
            parent.children.append((tag, current.value(known.get(tag) if not stack else None)))
            continue
        if TOKEN in text or (not stack and text.strip()):
            raise _Unreadable
        current.text += text
        stack.append(_Element(tag))
    if stack:
        raise _Unreadable(is_cut=True)
    if body[position:].strip():
        raise _Unreadable
    names = [name for name, _ in root.children]
    return dict(root.children), len(set(names)) == len(names)


def _plain(body: str, known: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The elements of a body without the token: one per parameter, no tag inside a value. Raises `_Unreadable`."""
    arguments: dict[str, Any] = {}
    is_sure, position = True, 0
    while body[position:].strip():
        opened = re.compile(r"\s*<([\w.\-]+)\s*>").match(body, position)
        close = body.find(f"</{opened[1]}>", opened.end()) if opened else -1
        if opened is None or close < 0:
            raise _Unreadable(is_cut=opened is not None)
        name, value = opened[1], body[opened.end() : close]
        position = close + len(name) + 3
        items = re.findall(r"\s*<item>([^<]*)</item>\s*", value)
        if items and not re.sub(r"\s*<item>[^<]*</item>\s*", "", value):
            arguments[name] = items
            continue
        is_sure = is_sure and name not in arguments and not re.search(r"</?[A-Za-z][^<>]*>", value)
        arguments[name] = value
    return arguments, is_sure


DIALECTS = (_MiniMaxM3(),)
