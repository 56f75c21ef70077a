"""Finds the calls of a reply: native tool calls first, then calls written in the content, then in the reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.parsing import arguments
from harness.parsing.arguments import REPAIR_STEPS, Reading, read_object
from harness.parsing.coerce import ToolSpec, find_tool, fit
from harness.parsing.dialects.registry import read_text_calls, unread_dialect
from harness.parsing.json_text import fix_surrogates
from harness.parsing.leaked_marks import without_marks
from harness.parsing.reasoning import CONTENT, Reasoning, ends_thinking
from harness.parsing.text_call_types import Parameters, TextCall, TextCalls


@dataclass(frozen=True)
class ReceivedCall:
    """A call as received: the repair step of its container, and its arguments in any form."""

    name: str
    raw: Any
    id: str = ""
    repair_step: str = arguments.NATIVE
    reading: Reading | None = None
    is_ambiguous: bool = False
    is_cut: bool = False
    is_text: bool = False


@dataclass(frozen=True)
class FoundCalls:
    """The calls of a reply, the content without them, and the thinking without calls that ended it.

    `dialect` is the syntax of calls read from the text; `unread` the one whose marks stand in a text without a call.
    `is_plain`: finding them needed no repair.
    """

    calls: Sequence[ReceivedCall]
    content: str
    thinking: str
    dialect: str = ""
    unread: str = ""
    is_plain: bool = True


def find_calls(
    message: Mapping[str, Any], reasoning: Reasoning, tools: Sequence[ToolSpec], *, is_cut: bool, family: str = ""
) -> FoundCalls:
    """All calls of a reply. `family` is the dialect of the model, if it is known."""

    def parameters(name: str) -> Mapping[str, Any] | None:
        tool = find_tool(name, tools)
        return None if tool is None else tool.properties

    native = _merged(_native_entries(message))
    if native:
        calls = [*native[:-1], _last(native[-1], is_cut)]
        # A bare object beside native calls is data, not a call.
        text_calls = read_text_calls(reasoning.content, parameters, is_cut=is_cut, family=family, only_marked=True)
        more, is_accounted_for = _calls_besides_native(text_calls, calls, tools)
        content = without_marks(text_calls.rest if text_calls.calls and is_accounted_for else reasoning.content)
        is_plain = content == reasoning.content
        return FoundCalls([*calls, *more], content, reasoning.text, text_calls.dialect if more else "", "", is_plain)
    text_calls = read_text_calls(reasoning.content, parameters, is_cut=is_cut, family=family)
    if text_calls.calls:
        calls = [_received(call, arguments.IN_CONTENT) for call in text_calls.calls]
        return FoundCalls(calls, text_calls.rest, reasoning.text, text_calls.dialect, "", False)
    content = without_marks(reasoning.content)
    found = _calls_in_reasoning(reasoning, content, parameters, is_cut=is_cut, family=family)
    if found.calls:
        return found
    unread = unread_dialect(reasoning.content, parameters)
    return FoundCalls([], content, reasoning.text, "", unread, content == reasoning.content)


def _native_entries(message: Mapping[str, Any]) -> list[ReceivedCall]:
    listed = message.get("tool_calls")
    entries = list(listed) if isinstance(listed, (list, tuple)) else [listed]
    if not any(isinstance(entry, Mapping) for entry in entries):
        entries = [message.get("function_call")]
    calls: list[ReceivedCall] = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            continue
        function = entry.get("function") if isinstance(entry.get("function"), Mapping) else entry
        assert isinstance(function, Mapping)
        name, raw = function.get("name"), function.get("arguments")
        call = ReceivedCall(_text(name), _fix_raw(raw), _text(entry.get("id")))
        if call.name or not _is_blank(raw):
            calls.append(call)
    return calls


def _merged(entries: Sequence[ReceivedCall]) -> list[ReceivedCall]:
    """Join an entry without a name to the call before it, if the two make a complete call."""
    merged: list[ReceivedCall] = []
    for entry in entries:
        before = merged[-1] if merged else None
        if not entry.name and before and isinstance(entry.raw, str):
            if _is_blank(before.raw) or before.raw == "{}":
                merged[-1] = ReceivedCall(before.name, entry.raw, before.id or entry.id, arguments.STRICT)
                continue
            if isinstance(before.raw, str) and arguments.is_json_object(before.raw + entry.raw):
                merged[-1] = ReceivedCall(before.name, before.raw + entry.raw, before.id, arguments.STRICT)
                continue
        merged.append(entry)
    return merged


def _last(call: ReceivedCall, is_cut: bool) -> ReceivedCall:
    """Mark the last call of a truncated reply as cut, unless its arguments are complete."""
    if not is_cut:
        return call
    reading = None if _is_blank(call.raw) else read_object(call.raw)
    is_whole = reading is not None and REPAIR_STEPS.index(reading.repair_step) <= REPAIR_STEPS.index(arguments.TRIMMED)
    return call if is_whole else ReceivedCall(call.name, call.raw, call.id, call.repair_step, is_cut=True)


def _calls_besides_native(
    text_calls: TextCalls, native: Sequence[ReceivedCall], tools: Sequence[ToolSpec]
) -> tuple[list[ReceivedCall], bool]:
    """Calls in the content of a reply that has native ones: copies are dropped, others returned as ambiguous.

    The second value is False if some text call could not be compared.
    """
    if not text_calls.calls:
        return [], True
    read = [(find_tool(call.name, tools), read_object(call.raw)) for call in native]
    known = [(tool.name, fit(tool, reading.value).value) for tool, reading in read if tool and reading]
    more, is_accounted_for = [], True
    for call in text_calls.calls:
        tool = find_tool(call.name, tools)
        if tool is None or call.arguments is None:
            is_accounted_for = False
        elif (tool.name, fit(tool, call.arguments).value) not in known:
            more.append(_received(call, arguments.IN_CONTENT, is_ambiguous=True))
    return more, is_accounted_for


def _calls_in_reasoning(
    reasoning: Reasoning, content: str, parameters: Parameters, *, is_cut: bool, family: str
) -> FoundCalls:
    """Calls left inside the reasoning. They are ambiguous unless the reply ends with them: they may be a plan."""
    text_calls = read_text_calls(reasoning.text, parameters, is_cut=is_cut, family=family, only_marked=True)
    is_end = text_calls.ends_with_call and not content.strip() and not is_cut
    if not is_end and not any(call.arguments and not call.is_cut for call in text_calls.calls):
        return FoundCalls([], content, reasoning.text)
    calls = [
        _received(call, arguments.IN_THINKING, is_ambiguous=not is_end, is_cut=is_cut) for call in text_calls.calls
    ]  # fmt: skip
    is_open = reasoning.field == CONTENT and not ends_thinking(str(reasoning.value))
    thinking = text_calls.rest if is_end and is_open else reasoning.text  # the call ended the thinking
    return FoundCalls(calls, content, thinking, text_calls.dialect, "", not calls and content == reasoning.content)


def _received(call: TextCall, repair_step: str, *, is_ambiguous: bool = False, is_cut: bool = False) -> ReceivedCall:
    reading = None if call.arguments is None else Reading(call.arguments, repair_step)
    return ReceivedCall(
        name=call.name,
        raw=call.raw,
        id=call.id,
        repair_step=repair_step,
        reading=reading,
        is_ambiguous=is_ambiguous or call.is_ambiguous,
        is_cut=is_cut or call.is_cut,
        is_text=True,
    )


def _text(value: Any) -> str:
    return fix_surrogates(value) if isinstance(value, str) else "" if value is None else fix_surrogates(str(value))


def _fix_raw(raw: Any) -> Any:
    return fix_surrogates(raw) if isinstance(raw, str) else raw


def _is_blank(raw: Any) -> bool:
    return raw is None or (isinstance(raw, str) and not raw.strip())
