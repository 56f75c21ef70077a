"""Finds what a server would reject in a message history, and repairs it.

A server that rejects a history (MiniMax's error 2013) rejects every later request too, so one invalid call would end a
run. Repairs that keep the meaning are made and reported. A system message anywhere but first cannot be repaired
(templates drop it silently), so such a history is refused.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.parsing.arguments import is_json_object, read_object
from harness.parsing.json_text import dumps, fix_surrogates
from harness.parsing.reasoning import text_of

EMPTY_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
"""The parameters sent for a tool without any: some servers reject a tool that lacks them."""

LOST_RESULT = "The result of this call was lost. Look at the workspace before you make it again."

Message = dict[str, Any]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")


@dataclass(frozen=True)
class RepairedMessages:
    """Messages to send, what was `changed`, and what is `refused` (then nothing may be sent)."""

    messages: tuple[Message, ...]
    changed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """`unchanged`, `rewritten` or `refused_to_send`."""
        return "refused_to_send" if self.refused else "rewritten" if self.changed else "unchanged"


def check_history(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Everything in these messages that a server may reject, one sentence each."""
    repaired = repair_messages(messages)
    return repaired.refused + repaired.changed


def repair_messages(messages: Sequence[Mapping[str, Any]]) -> RepairedMessages:
    """Return messages that a server accepts. Valid messages stay equal, and the input is not modified.

    Arguments that are not JSON become `{"_invalid": …}`; ids become unique and non-empty; a call without a result gets
    one, a result without a call is left out, and each result follows its call.
    """
    refused = tuple(
        f"message {position} is a second system message: put it into the first, or into a tool result"
        for position, message in enumerate(messages)
        if position and message.get("role") in ("system", "developer")
    )
    repair = _Repair(messages)
    return RepairedMessages(tuple(repair.run()), tuple(repair.changes), refused)


def repair_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The `tools` of a request, each with the `parameters` that some servers require."""
    return [_repair_tool(tool) for tool in tools]


def _repair_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(tool.get("function") or {})
    given = function.get("parameters")
    parameters = dict(given) if isinstance(given, Mapping) else {}
    function["parameters"] = {**EMPTY_PARAMETERS, **parameters}
    return {**tool, "type": "function", "function": function}


@dataclass
class _Repair:
    """A repair in progress: results not yet matched to a call, ids in use, and what was changed."""

    messages: Sequence[Mapping[str, Any]]
    changes: list[str] = field(default_factory=list)
    unmatched: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    used_ids: set[str] = field(default_factory=set)
    id_counts: Counter[str] = field(default_factory=Counter)
    results: dict[str, deque[int]] = field(default_factory=dict)
    """Positions of the results of each id that are not matched yet."""
    users: dict[str, list[int]] = field(default_factory=dict)
    """Positions of the messages that call each id; those with any call are at ""."""

    def run(self) -> list[Message]:
        self.unmatched = {
            position: message for position, message in enumerate(self.messages) if message.get("role") == "tool"
        }
        for position, message in self.unmatched.items():
            self.results.setdefault(str(message.get("tool_call_id") or ""), deque()).append(position)
        self.users = _users_of_ids(self.messages)
        repaired: list[Message] = []
        for position, message in enumerate(self.messages):
            role = message.get("role")
            if role == "assistant":
                repaired += self._repair_turn(position, message)
            elif role not in _ROLES:
                self.changes.append(f"message {position} has no role a server accepts ({role!r}): left out")
            elif role != "tool":
                repaired.append(self._with_text(position, message))
        for position, message in self.unmatched.items():
            name = message.get("tool_call_id")
            self.changes.append(f"message {position} is the result of no call ({name!r}): left out")
        return repaired

    def _repair_turn(self, position: int, message: Mapping[str, Any]) -> list[Message]:
        """A message of the model with valid calls, followed by the results of those calls."""
        reply = self._with_text(position, message)
        calls = self._calls(position, message.get("tool_calls"))
        if not calls:
            if "tool_calls" in reply:
                del reply["tool_calls"]
                self.changes.append(f"message {position} has an empty list of calls: left out")
            return [reply]
        results = [self._take_result(position, str(call.get("id") or "")) for call in calls]
        repaired = [self._repair_call(position, index, call) for index, call in enumerate(calls)]
        if repaired != list(message["tool_calls"]):
            reply["tool_calls"] = repaired
        return [reply, *self._answers(position, repaired, results)]

    def _calls(self, position: int, listed: Any) -> list[Mapping[str, Any]]:
        entries = listed if isinstance(listed, list) else [listed] if isinstance(listed, Mapping) else []
        calls = [call for call in entries if isinstance(call, Mapping)]
        if len(calls) < len(entries):
            self.changes.append(f"message {position} contains a call that is no object: left out")
        return calls

    def _repair_call(self, position: int, index: int, call: Mapping[str, Any]) -> Message:
        inner = call.get("function")
        function: Mapping[str, Any] = inner if isinstance(inner, Mapping) else {}
        old_id = call.get("id")
        base_id = fix_surrogates(old_id) if isinstance(old_id, str) and old_id else f"call_{position}_{index}"
        new_id = self._unique(base_id)
        old_name = function.get("name")
        name = old_name if isinstance(old_name, str) and _NAME.fullmatch(old_name) else _valid_name(old_name)
        old_arguments = function.get("arguments")
        arguments = old_arguments if _is_valid(old_arguments) else _valid_arguments(old_arguments)
        has_form = call.get("type") == "function" and not set(function) - {"name", "arguments"}
        for change, is_changed in (
            (f"id {old_id!r} is {new_id!r} now", new_id != old_id),
            (f"name {old_name!r} is {name!r} now", name != old_name),
            ("arguments are valid JSON now", arguments != old_arguments),
            ("has the form of a call now", not has_form),
        ):
            if is_changed:
                self.changes.append(f"message {position}, call {index + 1}: {change}")
        return {"id": new_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _unique(self, name: str) -> str:
        new = name if name not in self.used_ids else ""
        while not new or new in self.used_ids:
            self.id_counts[name] += 1
            new = f"{name}_{self.id_counts[name] + 1}"
        self.used_ids.add(new)
        return new

    def _take_result(self, position: int, call_id: str) -> tuple[int, Mapping[str, Any]] | None:
        """The first unmatched result with this id, up to the next call that uses the same id."""
        users, results = self.users.get(call_id, []), self.results.get(call_id, deque())
        later = bisect_right(users, position)
        end = users[later] if later < len(users) else len(self.messages)
        while results and results[0] < position:  # no later call can take it
            results.popleft()
        if not results or results[0] >= end:
            return None
        index = results.popleft()
        return index, self.unmatched.pop(index)

    def _answers(
        self, position: int, calls: Sequence[Message], results: Sequence[tuple[int, Mapping[str, Any]] | None]
    ) -> list[Message]:
        answers: list[Message] = []
        for index, (call, result) in enumerate(zip(calls, results, strict=True)):
            if result is None:
                self.changes.append(f"message {position}, call {index + 1} has no result: one that says so was added")
                answers.append({"role": "tool", "tool_call_id": call["id"], "content": LOST_RESULT})
                continue
            answer = self._with_text(*result)
            if answer.get("tool_call_id") != call["id"]:
                answer["tool_call_id"] = call["id"]
            if result[0] != position + 1 + index:
                self.changes.append(f"message {result[0]} did not follow its call: moved behind it")
            answers.append(answer)
        return answers

    def _with_text(self, position: int, message: Mapping[str, Any]) -> Message:
        """A copy of a message whose content is a plain string, the only form that every server takes."""
        copy = dict(message)
        content = copy.get("content")
        if not isinstance(content, str):
            copy["content"] = text_of(content) or ("" if content is None else json.dumps(content, default=repr))
            self.changes.append(f"message {position}: its content is a string now")
        return copy


def _users_of_ids(messages: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """The positions of the messages that call each id: results behind a later one belong to that message."""
    users: dict[str, list[int]] = {}
    for position, message in enumerate(messages):
        calls = message.get("tool_calls")
        if message.get("role") == "assistant" and isinstance(calls, list) and calls:
            ids = {str(call.get("id") or "") for call in calls if isinstance(call, Mapping)}
            for call_id in ids | {""}:
                users.setdefault(call_id, []).append(position)
    return users


def _is_valid(arguments: Any) -> bool:
    return is_json_object(arguments) and arguments == fix_surrogates(arguments)


def _valid_name(name: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_\-]+", "_", str(name or "")).strip("_")[:64] or "unknown"


def _valid_arguments(arguments: Any) -> str:
    """Valid JSON for arguments that are not: their value if it is unmistakable, else a mark that contains them."""
    if arguments is None or isinstance(arguments, Mapping):
        reading = read_object(dict(arguments) if arguments else None)
        if reading is not None:
            return dumps(reading.value)
    if isinstance(arguments, str) and not arguments.strip():
        return "{}"
    raw = arguments if isinstance(arguments, str) else repr(arguments)
    return dumps({"_invalid": fix_surrogates(raw)})
