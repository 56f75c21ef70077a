"""Reads calls that are JSON objects with a name and arguments: between marks, in code fences, or alone.

JSON shows where it ends, so a call may contain the very marks around it (a file with code fences, for example). A call
that cannot be read is still returned as a call, so that it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.parsing.arguments import NATIVE, PROSE_CUT, read_object, unfenced
from harness.parsing.dialects.base import Block
from harness.parsing.json_text import decoder, looks_cut
from harness.parsing.text_call_types import Parameters, TextCall

_BLANKS = re.compile(r"\s*")
_BEGINNING = re.compile(r"\s*[{\[]")
_LIST = re.compile(r"\[\s*\{")
_NEXT = re.compile(r"\s*[;,]?\s*[{\[]")
_NAMED = re.compile(r"\s*[\[;,]?\s*\{\s*[\"']?name[\"']?\s*:\s*[\"']([\w.:-]+)[\"']")
_ARGUMENTS = re.compile(r"[\"']?(?:arguments|parameters)[\"']?\s*:")
_CARRIERS = ("arguments", "parameters")
_AROUND = re.compile(r"\A\s*<\|python_(?:tag|start)\|>\s*|\s*<\|(?:python_end|eom_id|eot_id)\|>\s*\Z")


@dataclass(frozen=True)
class JsonInMarks:
    """Calls between an `opening` and a `closing` mark; several may stand in one pair, as a list or in a row.

    `is_fence`: the marks are a code fence, which may contain anything else as well.
    """

    name: str
    markers: tuple[str, ...]
    opening: re.Pattern[str]
    closing: str
    is_fence: bool = False

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        """The blocks that contain calls. An unclosed block is the last."""
        blocks: list[Block] = []
        position = 0
        while opened := self.opening.search(text, position):
            position = start = opened.end()
            is_beginning = _BEGINNING.match(text, start) is not None
            if not self.is_fence and not is_beginning:
                continue
            close, position = self._end(text, start)
            inside, is_closed = text[start:close], position > close
            calls = _calls(inside, parameters) if is_beginning else []
            if is_beginning and not calls and not (is_cut and not is_closed and self.is_fence):
                # A fence cut off at the output limit is reported as a truncated reply instead.
                calls = _unreadable(inside, parameters, is_marked=not self.is_fence, is_closed=is_closed)
            if calls:
                blocks.append(Block(opened.start(), position, tuple(calls)))
        if self.is_fence and blocks and text[blocks[-1].end :].strip():
            return [replace(block, calls=_ambiguous(block.calls)) for block in blocks]
        return blocks

    def _end(self, text: str, start: int) -> tuple[int, int]:
        """The end of the inside of a block and the end of the block; equal if the block is not closed.

        The inside ends where its JSON ends if only a mark or nothing follows, else at the first closing mark.
        """
        _, end = _values(text, start)
        blanks = _BLANKS.match(text, end)
        close = blanks.end() if blanks else end
        is_next = not self.is_fence and self.opening.match(text, close) is not None
        if end > start and (close == len(text) or is_next):
            return close, close
        close = text.find(self.closing, end)
        return (close, close + len(self.closing)) if close >= 0 else (len(text), len(text))


@dataclass(frozen=True)
class WholeJson:
    """A reply that is nothing but calls in JSON, maybe in a fence or after Llama's `<|python_tag|>`."""

    name: str = "json"
    markers: tuple[str, ...] = ("{",)

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        calls = _calls(unfenced(_AROUND.sub("", text)), parameters)
        return [Block(0, len(text), tuple(calls))] if calls else []


@dataclass(frozen=True)
class StartsWithJson:
    """A reply that starts with calls in JSON. They are ambiguous, because the words after them may withdraw them."""

    name: str = "json"
    markers: tuple[str, ...] = ("{",)

    def prepare(self, text: str) -> str:
        return text

    def find(self, text: str, parameters: Parameters, *, is_cut: bool) -> list[Block]:
        start = len(text) - len(text.lstrip())
        values, end = _values(text, start)
        if calls := _as_calls(values, text[start:end], parameters):
            return [Block(start, end, _ambiguous(calls))]
        whole = text.strip()
        broken = [] if is_cut else _unreadable(whole, parameters, is_marked=False, is_closed=whole.endswith("}"))
        return [Block(0, len(text), tuple(broken))] if broken else []


def _ambiguous(calls: Sequence[TextCall]) -> tuple[TextCall, ...]:
    return tuple(replace(call, is_ambiguous=True) for call in calls)


def _unreadable(text: str, parameters: Parameters, *, is_marked: bool, is_closed: bool) -> list[TextCall]:
    """A call that cannot be read: it names an existing tool, or is inside call marks."""
    name = _name_at(text, 0)
    is_call = parameters(name) is not None and _ARGUMENTS.search(text) is not None
    if is_call or (is_marked and (name or not is_closed)):
        return [TextCall(name, None, text.strip(), is_cut=not is_closed or looks_cut(text))]
    return []


def _values(text: str, start: int) -> tuple[list[Any], int]:
    """Consecutive JSON objects and lists, and where the last one ends."""
    values: list[Any] = []
    end = start
    while match := (_NEXT if values else _BEGINNING).match(text, end):
        try:
            value, end = decoder(strict=False).raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            break
        values.append(value)
    return values, end


def _calls(text: str, parameters: Parameters) -> list[TextCall]:
    """The calls of a text that contains nothing else: one, a list, or several in a row."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return []
    values, end = _values(text, 0)
    if not text[end:].strip():
        return _as_calls(values, text, parameters)
    if not values and _LIST.match(text):  # the last bracket is missing, or an element cannot be read
        return _calls(text[1:], parameters)
    if values and text[end:].strip() == "]":
        return _as_calls(values, text, parameters)
    if _NAMED.match(text, end) and (before := _as_calls(values, text[:end], parameters)):
        return [*before, TextCall(_name_at(text, end), None, text[end:].strip(), is_cut=True)]
    reading = read_object(text)
    if reading is None or not text.endswith("}") or reading.repair_step == PROSE_CUT:
        return []
    if reading.repair_step != NATIVE and looks_cut(text):
        return []
    calls = _as_calls([reading.value], text, parameters)
    return [replace(call, is_ambiguous=call.is_ambiguous or reading.is_ambiguous) for call in calls]


def _name_at(text: str, position: int) -> str:
    named = _NAMED.match(text, position)
    return named[1] if named else ""


def _as_calls(values: Sequence[Any], text: str, parameters: Parameters) -> list[TextCall]:
    """All values as calls; empty if one is no call. Equal neighbours count once: streams repeat them."""
    once = [value for index, value in enumerate(values) if not index or value != values[index - 1]]
    calls = [
        _call(item, text, parameters) for value in once for item in (value if isinstance(value, list) else [value])
    ]
    valid = [call for call in calls if call is not None]
    return valid if len(valid) == len(calls) else []


def _call(item: Any, text: str, parameters: Parameters) -> TextCall | None:
    """Read an object as a call: it must have a name, arguments, and no other keys than an id and a type."""
    if isinstance(item, Mapping) and isinstance(item.get("function"), Mapping):
        if set(item) - {"function", "id", "type", "index"}:
            return None
        item = dict(item["function"])
    if not isinstance(item, dict):
        return None
    name = item.get("name")
    carriers = [key for key in _CARRIERS if key in item]
    others = set(item) - {"name", "id", "type", *carriers}
    if not isinstance(name, str) or len(carriers) != 1 or others:
        return None
    if parameters(name) is None and set(item) != {"name", "arguments"}:
        return None
    reading = read_object(item[carriers[0]], parameters(name) or ())
    if reading is None:
        return TextCall(name, None, text)
    return TextCall(name, reading.value, text, reading.is_ambiguous)
