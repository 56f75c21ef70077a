"""Finds tool calls that stand as JSON in what a model said: all of it, in fences, or in `<tool_call>` tags.

Where JSON stands, it tells itself where it ends, so that a call may hold the very marks it stands in (a file with
fences, say). What begins as a call and cannot be read is a call as well: it is answered, not lost.
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
"""What opens a block, and what closes it."""


@dataclass(frozen=True)
class _Block:
    """A stretch of text that holds calls, marks and all."""

    start: int
    end: int
    calls: Sequence[TextCall]


def read_json(text: str, parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Find the calls that stand in a text as JSON. `is_cut`: the reply ended at the output limit."""
    if "{" not in text:
        return TextCalls((), text)
    if calls := _calls(unfenced(text), parameters):
        return TextCalls(tuple(calls), "")
    for marks in (_TAGS, _FENCES):
        if blocks := _blocks(text, marks, parameters, is_cut=is_cut):
            return _from_blocks(text, blocks, is_fenced=marks is _FENCES)
    return _at_start(text, parameters, is_cut=is_cut)


def _at_start(text: str, parameters: Parameters, *, is_cut: bool) -> TextCalls:
    """Calls that a text begins with: words behind them may take them back, and one that cannot be read is told."""
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
    """The blocks with calls in them. One that never ends is the last."""
    blocks: list[_Block] = []
    at = 0
    while opened := marks[0].search(text, at):
        at = start = opened.end()
        is_beginning = _BEGINNING.match(text, start) is not None
        if marks is _TAGS and not is_beginning:
            continue
        close, at = _end(text, start, marks)
        inside, is_closed = text[start:close], at > close
        calls = _calls(inside, parameters) if is_beginning else []
        if is_beginning and not calls and not (is_cut and not is_closed and marks is _FENCES):
            # Of a fence that was cut off at the limit it is told that the reply was.
            calls = _unreadable(inside, parameters, is_tagged=marks is _TAGS, is_closed=is_closed)
        if calls:
            blocks.append(_Block(opened.start(), at, calls))
    return blocks


def _end(text: str, start: int, marks: _Marks) -> tuple[int, int]:
    """Where the inside of a block ends, and where the block does; the same place where nothing closes it.

    It ends where its JSON does, if only a mark or nothing follows there; else at the first mark that could close it.
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
    """A call that began and cannot be read: it names a tool that there is, or stands in the tags of a call."""
    name = _name_at(text, 0)
    is_call = parameters(name) is not None and _ARGUMENTS.search(text) is not None
    if is_call or (is_tagged and (name or not is_closed)):
        return [TextCall(name, None, text.strip(), is_cut=not is_closed or looks_cut(text))]
    return []


def _values(text: str, start: int) -> tuple[list[Any], int]:
    """The JSON objects and lists that stand in a row, and where the last ends."""
    values: list[Any] = []
    end = start
    while found := _BEGINNING.match(text, end):
        try:
            value, end = decoder(strict=False).raw_decode(text, found.end() - 1)
        except (ValueError, RecursionError):
            break
        values.append(value)
    return values, end


def _calls(text: str, parameters: Parameters) -> list[TextCall]:
    """The calls that a text is and nothing else: one, a list of them, or several in a row."""
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
    found = _as_calls([reading.value], text, parameters)
    return [replace(call, is_ambiguous=call.is_ambiguous or reading.is_ambiguous) for call in found]


def _name_at(text: str, at: int) -> str:
    named = _NAMED.match(text, at)
    return named[1] if named else ""


def _as_calls(values: Sequence[Any], text: str, parameters: Parameters) -> list[TextCall]:
    """All of some values as calls; none where one is none. The same twice in a row was said once by a stream."""
    once = [value for index, value in enumerate(values) if not index or value != values[index - 1]]
    calls = [
        _call(item, text, parameters) for value in once for item in (value if isinstance(value, list) else [value])
    ]
    found = [call for call in calls if call is not None]
    return found if len(found) == len(calls) else []


def _call(item: Any, text: str, parameters: Parameters) -> TextCall | None:
    """Read one object as a call. It is one only if it names a tool and carries arguments, and little else."""
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
