"""Reads the tool calls of a reply, repairing them where needed, and makes the message that history carries.

A call is repaired by the mildest step that reads it (`arguments.REPAIR_STEPS`). A truncated call is never executed. An
ambiguous call is executed only by tools whose effect can be undone and is read back. A tool whose effect cannot be
undone accepts only the first three steps. A call that is not executed stays in history with valid arguments, and its
`problem` is its result.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.parsing.arguments import ERROR, NATIVE, REPAIR_STEPS, SCHEMA, STRICT, TRIMMED, Reading, read_object
from harness.parsing.coerce import ToolSpec, find_tool, fit, nearest_names
from harness.parsing.json_text import dumps, fix_surrogates, looks_cut
from harness.parsing.leaked_marks import ends_with_mark, may_hold_mark
from harness.parsing.reasoning import Reasoning, split_reasoning, with_reasoning
from harness.parsing.text_calls import ReceivedCall, find_calls
from runs.events.registry import Call

__all__ = ["Outcome", "ReadReply", "ToolSpec", "canonical_message", "read_reply"]

Outcome = Literal["salvaged", "partial", "tool_error", "ambiguous", "truncated", "no_call", "text", "empty"]

CUT_REASONS = ("length", "max_tokens", "model_length", "content_filter", "abort", "error", "incomplete")
"""Finish reasons of a truncated reply."""

MOST_CALLS = 64
"""Calls of one reply that are executed."""

_ID = re.compile(r"[\w.:\-]{1,64}")
_NAME = re.compile(r"[^\w-]+", re.ASCII)


@dataclass(frozen=True)
class ReadReply:
    """A reply that was read.

    `calls` are in order, with unique ids and valid arguments; a call with a `problem` is answered with it and not
    executed. `text` and `thinking` are for people. `outcome` is `salvaged` (every call is executed; `repaired` tells
    whether anything was repaired), `partial` (some are), `tool_error` or `ambiguous` (none is); without a call `text`,
    `no_call` (a call was announced, or only reasoning came), `truncated` or `empty`. `repair_steps` counts the calls by
    repair step, and the `ambiguous` ones. `dialect` is the syntax of calls that came as text, `unread_dialect` the one
    whose marks stand in a text without a call.
    """

    calls: tuple[Call, ...]
    text: str
    thinking: str
    outcome: Outcome
    repaired: bool
    repair_steps: Mapping[str, int]
    reasoning: Reasoning = field(repr=False)
    dialect: str = ""
    unread_dialect: str = ""

    @property
    def reasoning_field(self) -> str:
        """The field the reasoning came in: one of `reasoning.FIELDS`, `content` or `none`."""
        return self.reasoning.field


@dataclass(frozen=True)
class _Decision:
    """Whether a call is executed, and what history carries of it."""

    name: str
    arguments: str
    repair_step: str
    problem: str = ""
    is_ambiguous: bool = False
    note: str = ""


def read_reply(
    message: Mapping[str, Any],
    finish_reason: str | None,
    tools: Sequence[ToolSpec],
    *,
    seed: str = "",
    taken: Collection[str] = (),
    family: str = "",
) -> ReadReply:
    """Read an assembled message. Never raises, whatever a server sent.

    Missing ids are generated from `seed` (the number of the request), the position and the content of the call, so that
    reading the same reply again gives the same ids. `taken` are the ids already in history. `family` is the dialect of
    the model, if it is known.
    """
    message = message if isinstance(message, Mapping) else {}
    reasoning = split_reasoning(message, family)
    is_cut = finish_reason in CUT_REASONS
    found = find_calls(message, reasoning, tools, is_cut=is_cut, family=family)
    received = list(found.calls)
    decisions = [_decide(call, tools) for call in received[:MOST_CALLS]]
    if len(received) > MOST_CALLS:  # the others are left out of history too; one answer stands for them
        decisions.append(_Decision(*_left_out(len(received), decisions[-1])))
        received = received[: MOST_CALLS + 1]
    ids = _ids([call.id for call in received], decisions, seed, taken, family)
    calls = tuple(
        Call(
            id=given,
            name=decision.name,
            arguments=decision.arguments,
            problem=decision.problem,
            repair_step=decision.repair_step,
            note=decision.note,
        )
        for given, decision in zip(ids, decisions, strict=True)
    )
    repair_steps = Counter(decision.repair_step for decision in decisions)
    if ambiguous := sum(decision.is_ambiguous for decision in decisions):
        repair_steps["ambiguous"] = ambiguous
    kept = Reasoning(reasoning.text, reasoning.field, reasoning.value, found.content)
    return ReadReply(
        calls=calls,
        text=found.content.strip(),
        thinking=found.thinking,
        outcome=_outcome(decisions, kept, finish_reason, is_cut=is_cut),
        repaired=not found.is_plain
        or ids != [call.id for call in received]
        or any(step != NATIVE for step in repair_steps),
        repair_steps=dict(repair_steps),
        reasoning=kept,
        dialect=found.dialect,
        unread_dialect=found.unread,
    )


def canonical_message(reply: ReadReply, reasoning_field: str | None = None) -> dict[str, Any]:
    """The assistant message that history carries: repaired calls, and the reasoning byte for byte.

    `reasoning_field` is the field to send the reasoning in (None: the one it came in; `none`: not sent).
    """
    message: dict[str, Any] = {"role": "assistant", "content": reply.reasoning.content}
    field_name = reply.reasoning_field if reasoning_field is None else reasoning_field
    message = with_reasoning(message, reply.reasoning, field_name)
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    return message


# ------------------------------------------------------------------------------------------------ deciding about a call


def _decide(call: ReceivedCall, tools: Sequence[ToolSpec]) -> _Decision:
    """Decide whether one call is executed, and what history carries of it."""
    tool = find_tool(call.name, tools)
    keys = (tool.properties, tool.required) if tool else ((), ())
    reading = call.reading if call.is_text else read_object(call.raw, *keys)
    name = tool.name if tool else _NAME.sub("_", call.name)[:64].strip("_") or "unknown"
    if reading is not None and tool is not None:
        reading = _unwrapped_call(reading, tool)
    if call.is_cut or reading is None:
        return _unreadable(call, name, "" if tool or not call.name else _unknown(call.name, tools))
    if tool is None:
        return _Decision(name, _arguments_text(reading), ERROR, _unknown(call.name, tools))
    if "_invalid" in reading.value and "_invalid" not in tool.properties:
        return _Decision(name, _arguments_text(reading), ERROR, "`_invalid` marks arguments that could not be read")
    return _fit_to_tool(call, reading, tool)


def _fit_to_tool(call: ReceivedCall, reading: Reading, tool: ToolSpec) -> _Decision:
    if not call.is_text and _has_leaked_end(reading.value):
        return _Decision(tool.name, _arguments_text(reading), ERROR, _LEAKED, True)
    fitted = fit(tool, reading.value)
    if fitted.problem:
        return _Decision(tool.name, _arguments_text(reading), ERROR, f"Not executed: {fitted.problem}.")
    repair_step = _deepest(
        call.repair_step,
        reading.repair_step,
        STRICT if fitted.dropped else NATIVE,
        SCHEMA if (fitted.coerced and not call.is_text) or tool.name != call.name else NATIVE,
    )
    is_kept = reading.text is not None and not fitted.dropped and not fitted.coerced
    arguments = reading.text if is_kept and reading.text is not None else dumps(fitted.value)
    is_ambiguous = call.is_ambiguous or reading.is_ambiguous or fitted.is_ambiguous
    is_ambiguous |= not call.is_text and any(map(may_hold_mark, _texts(reading.value)))
    if not tool.is_reversible and REPAIR_STEPS.index(repair_step) > REPAIR_STEPS.index(TRIMMED):
        return _Decision(tool.name, arguments, ERROR, _too_untidy(tool))
    if is_ambiguous and not (tool.is_reversible and tool.shows_effect):
        return _Decision(tool.name, arguments, ERROR, _TWO_WAYS, is_ambiguous)
    return _Decision(tool.name, arguments, repair_step, "", is_ambiguous, fitted.note)


def _texts(value: Any) -> Iterator[str]:
    """Every string in a value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _has_leaked_end(value: Any) -> bool:
    return any(map(ends_with_mark, _texts(value)))


def _unwrapped_call(reading: Reading, tool: ToolSpec) -> Reading:
    """Extract the arguments from a complete call that was sent in their place, or from a second layer around them."""
    keys = set(reading.value)
    carrier = next(iter(keys - {"name"}), "")
    if keys not in ({"name", "arguments"}, {"arguments"}, {"input"}) or keys & set(tool.properties):
        return reading
    again = read_object(reading.value[carrier]) if reading.value.get("name", tool.name) == tool.name else None
    if again is None:
        return reading
    repair_step = _deepest(reading.repair_step, again.repair_step, TRIMMED)
    return Reading(again.value, repair_step, is_ambiguous=reading.is_ambiguous or again.is_ambiguous)


def _unreadable(call: ReceivedCall, name: str, unknown: str) -> _Decision:
    raw = call.raw if isinstance(call.raw, str) else "" if call.raw is None else repr(call.raw)
    # An unescaped quotation mark makes a complete call look cut, but only a complete one ends with a bracket.
    is_cut = call.is_cut or (looks_cut(raw) and not raw.rstrip().endswith("}"))
    arguments = dumps({"_invalid": fix_surrogates(raw)})
    problem = _CUT if is_cut else unknown or (_BROKEN_TAGS if call.is_text else _NOT_JSON)
    return _Decision(name, arguments, ERROR, problem, call.is_ambiguous and not is_cut)


def _arguments_text(reading: Reading) -> str:
    return reading.text if reading.text is not None else dumps(reading.value)


def _deepest(*repair_steps: str) -> str:
    return max(repair_steps, key=REPAIR_STEPS.index)


def _ids(
    given: Sequence[str], decisions: Sequence[_Decision], seed: str, taken: Collection[str], family: str
) -> list[str]:
    """Unique ids: the server's if valid, `c1_2` for a second `c1`, generated ones where there is none."""
    used = set(taken)
    counts = Counter[str]()
    ids: list[str] = []
    for index, (old, decision) in enumerate(zip(given, decisions, strict=True)):
        source = f"{seed}|{index}|{decision.name}|{decision.arguments}"
        base = old if _ID.fullmatch(old) else _generate_id(source, decision.name, len(used), family)
        new = base if base not in used else ""
        while not new or new in used:
            counts[base] += 1
            again = f"{source}|{counts[base]}"
            new = _generate_id(again, "", 0, family) if family == "mistral" else f"{base}_{counts[base] + 1}"
        used.add(new)
        ids.append(new)
    return ids


def _generate_id(source: str, name: str, number: int, family: str) -> str:
    """An id as the templates of the family want it: Kimi's shows it to the model, Mistral's takes nine characters."""
    digest = hashlib.sha256(source.encode()).hexdigest()
    if family == "mistral":
        return digest[:9]
    return f"functions.{name}:{number}" if family == "kimi_k2" else f"call_{digest[:16]}"


def _outcome(decisions: Sequence[_Decision], reply: Reasoning, finish_reason: str | None, *, is_cut: bool) -> Outcome:
    if decisions:
        failed = [decision for decision in decisions if decision.problem]
        if not failed:
            return "salvaged"
        if len(failed) < len(decisions):
            return "partial"
        return "ambiguous" if all(decision.is_ambiguous for decision in failed) else "tool_error"
    if is_cut:
        return "truncated"
    if not reply.content.strip():
        return "no_call" if reply.text else "empty"
    return "no_call" if finish_reason in ("tool_calls", "tool_use", "function_call") else "text"


# ------------------------------------------------------------------------------------------------ messages to the model

_CUT = (
    "Not executed: the call was cut off before it was complete, probably at the output limit. Send the whole call "
    "again; if it is long, split it into smaller calls."
)
_NOT_JSON = (
    "Not executed: the arguments are not a JSON object. Send the call again with valid JSON: inside a string, a "
    'quotation mark is written `\\"`, and a backslash `\\\\`.'
)
_BROKEN_TAGS = "Not executed: the call in the text cannot be read. Make it again as a native tool call."
_LEAKED = (
    "Not executed: an argument ends with a mark of the tool call syntax, so the server cut it in the wrong place. Send "
    "the call again."
)
_TWO_WAYS = (
    "Not executed: the call has more than one possible meaning. Its arguments show how it was read. If "
    "that is right, make exactly that call again, as a native tool call."
)


def _unknown(name: str, tools: Sequence[ToolSpec]) -> str:
    near = ", ".join(f"`{item}`" for item in nearest_names(name, tools))
    every = ", ".join(f"`{tool.name}`" for tool in tools)
    message = f"Not executed: there is no tool `{name[:64]}`." + (f" Nearest: {near}." if near else "")
    return f"{message} The tools are {every}."


def _left_out(count: int, last: _Decision) -> tuple[str, str, str, str]:
    """The decision that stands for the calls of a reply past `MOST_CALLS`."""
    problem = (
        f"Not executed: the reply holds {count} calls, and only the first {MOST_CALLS} were executed. Send the others "
        "again, in smaller groups."
    )
    return last.name, "{}", ERROR, problem


def _too_untidy(tool: ToolSpec) -> str:
    return (
        f"Not executed: the effect of `{tool.name}` cannot be undone, so it needs a native tool call with valid JSON "
        "arguments of the right types. Its arguments show how the call was read; make it again."
    )
