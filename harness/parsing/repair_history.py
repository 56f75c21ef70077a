"""Keeps a history such as every server accepts: finds what one would refuse, and mends it.

A server that refuses a history (MiniMax's error 2013) refuses it on every later request, so one bad call would end a
run. What can be mended without a change of meaning is mended and told; a system message anywhere but in front cannot
be (templates drop it silently), so it is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.parsing.arguments import is_json_object, read_object
from harness.parsing.json_text import dumps, healed
from harness.parsing.reasoning import text_of

EMPTY_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
"""What stands in for the parameters of a tool that has none; some servers refuse a tool without them."""

LOST_RESULT = "The result of this call was lost. Look at the workspace before you make it again."

Message = dict[str, Any]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")


@dataclass(frozen=True)
class MendedHistory:
    """Messages that may be sent, what was `changed` to get there, and what is `refused` (nothing may be sent then)."""

    messages: tuple[Message, ...]
    changed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """`unchanged`, `rewritten` or `refused_to_send`."""
        return "refused_to_send" if self.refused else "rewritten" if self.changed else "unchanged"


def check_history(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Everything a server may refuse in these messages, one sentence each; empty where it is sound."""
    mended = mend_history(messages)
    return mended.refused + mended.changed


def mend_history(messages: Sequence[Mapping[str, Any]]) -> MendedHistory:
    """Return messages that a server accepts. Sound ones stay as they are, and nothing is edited in place.

    Arguments that are not JSON become `{"_invalid": …}`, ids unique and non-empty; a call without a result gets one,
    a result without a call goes, and each result stands right behind its call.
    """
    changes: list[str] = []
    refused = [
        f"message {place} is a second system message: put it into the first, or into a tool result"
        for place, message in enumerate(messages)
        if place and message.get("role") in ("system", "developer")
    ]
    mended: list[Message] = []
    used: set[str] = set()
    loose = [(place, message) for place, message in enumerate(messages) if message.get("role") == "tool"]
    for place, message in enumerate(messages):
        if message.get("role") == "assistant":
            mended += _mended_turn(place, message, messages, loose, used, changes)
        elif message.get("role") in _ROLES and message.get("role") != "tool":
            mended.append(_with_text(message, place, changes))
        elif message.get("role") != "tool":
            changes.append(f"message {place} has no role a server knows ({message.get('role')!r}): left out")
    for place, message in loose:
        changes.append(f"message {place} is the result of no call ({message.get('tool_call_id')!r}): left out")
    return MendedHistory(tuple(mended), tuple(changes), tuple(refused))


def mend_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The `tools` of a request with the parameters that some servers insist on, even where there are none."""
    return [_mended_tool(tool) for tool in tools]


def _mended_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(tool.get("function") or {})
    given = function.get("parameters")
    parameters = dict(given) if isinstance(given, Mapping) else {}
    function["parameters"] = {**EMPTY_PARAMETERS, **parameters}
    return {**tool, "type": "function", "function": function}


# ------------------------------------------------------------------------------------------------- a turn of the model


def _mended_turn(
    place: int,
    message: Mapping[str, Any],
    messages: Sequence[Mapping[str, Any]],
    loose: list[tuple[int, Mapping[str, Any]]],
    used: set[str],
    changes: list[str],
) -> list[Message]:
    """A message of the model, its calls made sound, with the results of those calls right behind it."""
    said = _with_text(message, place, changes)
    calls = _calls(message.get("tool_calls"), place, changes)
    if not calls:
        if "tool_calls" in said:
            del said["tool_calls"]
            changes.append(f"message {place} has an empty list of calls: left out")
        return [said]
    given = [str(call.get("id") or "") for call in calls]
    results = _results(place, given, messages, loose)
    sound = [_mended_call(call, place, index, used, changes) for index, call in enumerate(calls)]
    if sound != list(message["tool_calls"]):
        said["tool_calls"] = sound
    return [said, *_answers(place, sound, results, changes)]


def _calls(listed: Any, place: int, changes: list[str]) -> list[Mapping[str, Any]]:
    entries = listed if isinstance(listed, list) else [listed] if isinstance(listed, Mapping) else []
    calls = [call for call in entries if isinstance(call, Mapping)]
    if len(calls) < len(entries):
        changes.append(f"message {place} holds a call that is none: left out")
    return calls


def _mended_call(call: Mapping[str, Any], place: int, index: int, used: set[str], changes: list[str]) -> Message:
    inner = call.get("function")
    function: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
    old_id = call.get("id")
    new_id = _unique(healed(old_id) if isinstance(old_id, str) and old_id else f"call_{place}_{index}", used)
    raw_name = function.get("name")
    name = raw_name if isinstance(raw_name, str) and _NAME.fullmatch(raw_name) else _named(raw_name)
    arguments = function.get("arguments")
    sound = arguments if _is_sound(arguments) else _rewritten(arguments)
    mended = {"id": new_id, "type": "function", "function": {"name": name, "arguments": sound}}
    for what, is_changed in (
        (f"id {old_id!r} is {new_id!r} now", new_id != old_id),
        (f"name {raw_name!r} is {name!r} now", name != raw_name),
        ("arguments are valid JSON now", sound != arguments),
        ("has the form of a call now", call.get("type") != "function" or set(function) - {"name", "arguments"}),
    ):
        if is_changed:
            changes.append(f"message {place}, call {index + 1}: {what}")
    return mended


def _is_sound(arguments: Any) -> bool:
    return is_json_object(arguments) and arguments == healed(arguments)


def _named(raw: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_\-]+", "_", str(raw or "")).strip("_")[:64] or "unknown"


def _rewritten(arguments: Any) -> str:
    """Valid JSON for arguments that are not: what they are where that is plain, else a mark that holds them."""
    if arguments is None or isinstance(arguments, Mapping):
        reading = read_object(dict(arguments) if arguments else None)
        if reading is not None:
            return dumps(reading.value)
    if isinstance(arguments, str) and not arguments.strip():
        return "{}"
    raw = arguments if isinstance(arguments, str) else repr(arguments)
    return dumps({"_invalid": healed(raw)})


def _unique(name: str, used: set[str]) -> str:
    new, count = name, 1
    while new in used:
        count += 1
        new = f"{name}_{count}"
    used.add(new)
    return new


# -------------------------------------------------------------------------------------------------------------- results


def _results(
    place: int,
    ids: Sequence[str],
    messages: Sequence[Mapping[str, Any]],
    loose: list[tuple[int, Mapping[str, Any]]],
) -> list[tuple[int, Mapping[str, Any]] | None]:
    """Take the results of a message's calls from those not yet given to one: by id, up to the id's next call."""
    found: list[tuple[int, Mapping[str, Any]] | None] = []
    for wanted in ids:
        end = _next_call(place, wanted, messages)
        match = next(
            (item for item in loose if place < item[0] < end and str(item[1].get("tool_call_id") or "") == wanted), None
        )
        if match is not None:
            loose.remove(match)
        found.append(match)
    return found


def _next_call(place: int, wanted: str, messages: Sequence[Mapping[str, Any]]) -> int:
    """Where a later message uses the same id again, so that the results behind it are that one's."""
    for later in range(place + 1, len(messages)):
        calls = messages[later].get("tool_calls")
        if messages[later].get("role") == "assistant" and isinstance(calls, list):
            if not wanted and calls:
                return later
            if any(isinstance(call, Mapping) and str(call.get("id") or "") == wanted for call in calls):
                return later
    return len(messages)


def _answers(
    place: int,
    calls: Sequence[Message],
    results: Sequence[tuple[int, Mapping[str, Any]] | None],
    changes: list[str],
) -> list[Message]:
    answers: list[Message] = []
    for index, (call, result) in enumerate(zip(calls, results, strict=True)):
        if result is None:
            changes.append(f"message {place}, call {index + 1} has no result: one was put in that says so")
            answers.append({"role": "tool", "tool_call_id": call["id"], "content": LOST_RESULT})
            continue
        at, message = result
        answer = _with_text(message, at, changes)
        if answer.get("tool_call_id") != call["id"]:
            answer["tool_call_id"] = call["id"]
        if at != place + 1 + index:
            changes.append(f"message {at} stood apart from its call: moved behind it")
        answers.append(answer)
    return answers


def _with_text(message: Mapping[str, Any], place: int, changes: list[str]) -> Message:
    """A copy of a message whose content is a plain string, the only form that every server takes."""
    copy = dict(message)
    content = copy.get("content")
    if not isinstance(content, str):
        copy["content"] = text_of(content) or ("" if content is None else json.dumps(content, default=repr))
        changes.append(f"message {place}: its content is a string now")
    return copy
