"""Repairs a window whose history the endpoint rejects, by starting a new epoch with messages it may accept.

Invalid messages are repaired. If all are valid, the cause must be in the last exchange, since the request before it was
accepted: that exchange is then rewritten as plain text, as the result of a marked call. A second user message would
make chat templates drop the reasoning before it. If the text form is rejected too, the attempt ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from context.window import NOTE_CALL, Window
from harness.parsing.json_text import dumps
from harness.parsing.reasoning import text_of
from harness.parsing.repair_history import repair_messages
from runs.events.registry import EpochStarted, Event, Warned, WindowGivenUp

_NOTE = "<harness>The endpoint rejected your last reply or its results, so they are repeated here as plain text."
_MAX_REPAIRS_SHOWN = 3


def repair_window(window: Window, call_id: str, record: Callable[[Event], object]) -> None:
    """Record an epoch whose history may be accepted, or that the window is given up.

    `call_id` must not be in the history: it is the id of the marked call, if one is needed.
    """
    repaired = repaired_tail(window, call_id)
    if repaired is None:
        record(Warned(message="the rejected history could not be repaired: this attempt ends, the next starts clean"))
        record(WindowGivenUp(why="poisoned"))
        return
    tail, repairs = repaired
    message = f"the endpoint rejected the history; it was repaired: {repairs} (the prompt cache is lost)"
    record(Warned(message=message))
    record(
        EpochStarted(
            reason="repaired",
            system=str(json.loads(window.system)["content"]),
            tools=window.tools.decode(),
            user=str(json.loads(window.messages[0])["content"]),
            tail="\n".join(tail),
        )
    )


def repaired_tail(window: Window, call_id: str) -> tuple[list[str], str] | None:
    """The messages after the window's first one, as JSON, repaired, and what was changed.

    None when there is nothing left to try. Valid messages keep their bytes.
    """
    sent = [message.decode("utf-8", "replace") for message in window.messages]
    messages = [json.loads(message) for message in sent]
    repaired = repair_messages(messages)
    if repaired.changed and not repaired.refused:
        as_sent = {dumps(message): text for message, text in zip(messages, sent, strict=True)}
        tail = [as_sent.get(dumps(message), dumps(message)) for message in repaired.messages[1:]]
        return tail, "; ".join(repaired.changed[:_MAX_REPAIRS_SHOWN])
    last = max((index for index, message in enumerate(messages) if message.get("role") == "assistant"), default=0)
    if not last or text_of(messages[-1].get("content")).startswith(_NOTE):
        return None
    tail = [*sent[1:last], *_text_exchange(call_id, exchange_text(messages[last:]))]
    return tail, "no message is invalid, so the last exchange is sent as plain text"


def _text_exchange(call_id: str, text: str) -> list[str]:
    """A marked call and `text` as its result."""
    call = {"id": call_id, "type": "function", "function": {"name": NOTE_CALL, "arguments": "{}"}}
    return [
        dumps({"role": "assistant", "content": "", "tool_calls": [call]}),
        dumps({"role": "tool", "content": text, "tool_call_id": call_id}),
    ]


def exchange_text(exchange: Sequence[Mapping[str, Any]]) -> str:
    """A reply of the model, its calls and their results as plain text."""
    reply, *results = exchange
    lines = [_NOTE]
    if content := text_of(reply.get("content")).strip():
        lines.append(f"You wrote: {content}")
    answers = {str(message.get("tool_call_id")): text_of(message.get("content")) for message in results}
    for call in reply.get("tool_calls") or []:
        function = call["function"]
        lines.append(f"You called {function['name']} with {function['arguments']}. Its result:")
        lines.append(answers.get(str(call["id"]), "(no result)"))
    return "\n\n".join(lines) + "\n\nContinue from here.</harness>"
