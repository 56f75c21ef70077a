"""Finds tool calls written as JSON in the text of a reply: the whole text, in code fences, or in `<tool_call>` tags.

JSON shows where it ends, so a call may contain the very marks around it (a file with code fences, for example). A call
that cannot be read is still returned as a call, so that it is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.parsing.arguments import NATIVE, read_object, unfenced
from harness.parsing.json_text import decoder, looks_cut
from harness.parsing.text_call_types import Parameters, TextCall, TextCalls, is_quoted

_TAGS = (re.compile(r"<tool_call>"), "</tool_call>")
_FENCES = (re.compile(r"```[\w-]*[ \t]*\n"), "```")
_BLANKS = re.compile(r"\s*")
_BEGINNING = re.compile(r"\s*[{\[]")
_NAMED = re.compile(r"\s*\{\s*[\"']?name[\"']?\s*:\s*[\"']([\w.:-]+)[\"']")
_ARGUMENTS = re.compile(r"[\"']?(?:arguments|parameters)[\"']?\s*:")
_CARRIERS = ("arguments", "parameters")


_Marks = tuple[re.Pattern[str], str]
"""The opening pattern and the closing mark of a block."""


@dataclass(frozen=True)
class _Block:
    """A part of the text that contains calls, including its marks."""

    start: int
    end: int
    calls: Sequence[TextCall]


def read_json(text: str, parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Find the calls written as JSON in a text. `is_cut`: the reply ended at the output limit."""
    if "{" not in text:
        return TextCalls((), text)
    if calls := _calls(unfenced(text), parameters):
        return TextCalls(tuple(calls), "")
    for marks in (_TAGS, _FENCES):
        if blocks := _blocks(text, marks, parameters, is_cut=is_cut):
            return _from_blocks(text, blocks, is_fenced=marks is _FENCES)
    return _at_start(text, parameters, is_cut=is_cut)


def _at_start(text: str, parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Calls at the start of a text. They are ambiguous, because the words after them may withdraw them."""
    text = text.strip()
    values, end = _values(text, 0)
    if calls := _as_calls(values, text[:end], parameters):
        return TextCalls(tuple(replace(call, is_ambiguous=True) for call in calls), text[end:].strip(), False)
    broken = [] if is_cut else _unreadable(text, parameters, is_tagged=False, is_closed=text.endswith("}"))
    return TextCalls(tuple(broken), "" if broken else text)


def _from_blocks(text: str, blocks: Sequence[_Block], *, is_fenced: bool) -> TextCalls:
    edges = [0, *(block.end for block in blocks)]
    rest = [text[edge : block.start].strip() for edge, block in zip(edges, blocks, strict=False)]
    tail = text[edges[-1] :].strip()
    calls = [call for block in blocks for call in block.calls]
    if (is_fenced and tail) or is_quoted(text, [(block.start, block.end) for block in blocks]):
        calls = [replace(call, is_ambiguous=True) for call in calls]
    return TextCalls(tuple(calls), "\n".join(piece for piece in [*rest, tail] if piece), not tail)


def _blocks(text: str, marks: _Marks, parameters: Parameters, *, is_cut: bool) -> list[_Block]:
    """The blocks that contain calls. An unclosed block is the last."""
    blocks: list[_Block] = []
    position = 0
    while opened := marks[0].search(text, position):
        position = start = opened.end()
        is_beginning = _BEGINNING.match(text, start) is not None
        if marks is _TAGS and not is_beginning:
            continue
        close, position = _end(text, start, marks)
        inside, is_closed = text[start:close], position > close
        calls = _calls(inside, parameters) if is_beginning else []
        if is_beginning and not calls and not (is_cut and not is_closed and marks is _FENCES):
            # A fence cut off at the output limit is reported as a truncated reply instead.
            calls = _unreadable(inside, parameters, is_tagged=marks is _TAGS, is_closed=is_closed)
        if calls:
            blocks.append(_Block(opened.start(), position, calls))
    return blocks


def _end(text: str, start: int, marks: _Marks) -> tuple[int, int]:
    """The end of the inside of a block and the end of the block; equal if the block is not closed.

    The inside ends where its JSON ends if only a mark or nothing follows, else at the first closing mark.
    """
    opening, closing = marks
    _, end = _values(text, start)
    blanks = _BLANKS.match(text, end)
    close = blanks.end() if blanks else end
    is_open = end > start and (close == len(text) or (marks is _TAGS and opening.match(text, close) is not None))
    if is_open:
        return close, close
    close = text.find(closing, end)
    return (close, close + len(closing)) if close >= 0 else (len(text), len(text))


def _unreadable(text: str, parameters: Parameters, *, is_tagged: bool, is_closed: bool) -> list[TextCall]:
    """A call that cannot be read: it names an existing tool, or is inside call tags."""
    name = _name_at(text, 0)
    is_call = parameters(name) is not None and _ARGUMENTS.search(text) is not None
    if is_call or (is_tagged and (name or not is_closed)):
        return [TextCall(name, None, text.strip(), is_cut=not is_closed or looks_cut(text))]
    return []


def _values(text: str, start: int) -> tuple[list[Any], int]:
    """Consecutive JSON objects and lists, and where the last one ends."""
    values: list[Any] = []
    end = start
    while match := _BEGINNING.match(text, end):
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
    if _NAMED.match(text, end) and (before := _as_calls(values, text[:end], parameters)):
        return [*before, TextCall(_name_at(text, end), None, text[end:].strip(), is_cut=True)]
    reading = read_object(text)
    if reading is None or not text.endswith("}") or (reading.repair_step != NATIVE and looks_cut(text)):
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
