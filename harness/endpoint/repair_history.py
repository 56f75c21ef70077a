"""Heals a window whose history the endpoint rejects: a new epoch is declared with what it will take.

What is unsound is mended. Where nothing is, the cause must lie in what the last accepted request did not hold yet: that
exchange is told in words instead, as the result of a marked call: a second user message would cost every thought
before it. Where even that is rejected, the attempt ends, and the next one starts clean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from context.window import NOTE_CALL
from harness.parsing.json_text import dumps
from harness.parsing.reasoning import text_of
from harness.parsing.repair_history import mend_history
from runs.events.registry import EpochStarted, Warned, WindowGivenUp

if TYPE_CHECKING:
    from context.window import Window
    from harness.loop import Run

_NOTE = "<harness>The endpoint rejected your last reply or its results, so they are told here in words."
_MENDED_TOLD = 3


def heal(run: Run) -> None:
    """Record a window that may be accepted, or mark the attempt as poisoned; either way somebody is told."""
    window = run.window
    found = healed_tail(window, f"harness_healed_{run.state.requests}")
    if found is None:
        run.record(Warned(message="the rejected history could not be healed: the attempt ends, the next starts clean"))
        run.record(WindowGivenUp(why="poisoned"))
        return
    tail, what = found
    run.record(Warned(message=f"the endpoint rejected the history; it was healed: {what} (the prompt cache is lost)"))
    run.record(
        EpochStarted(
            reason="healed",
            system=str(json.loads(window.system)["content"]),
            tools=window.tools.decode(),
            user=str(json.loads(window.messages[0])["content"]),
            tail="\n".join(tail),
        )
    )


def healed_tail(window: Window, call: str) -> tuple[list[str], str] | None:
    """The messages behind the window's head as they may be accepted, as JSON, and what was done to them.

    `call` is the id of the marked call, new to the history, whose result the words are, should words be needed.
    None where nothing is left to try. Messages that need no mending keep their bytes.
    """
    sent = [message.decode("utf-8", "replace") for message in window.messages]
    messages = [json.loads(message) for message in sent]
    mended = mend_history(messages)
    if mended.changed and not mended.refused:
        as_sent = {dumps(message): text for message, text in zip(messages, sent, strict=True)}
        tail = [as_sent.get(dumps(message), dumps(message)) for message in mended.messages[1:]]
        return tail, "; ".join(mended.changed[:_MENDED_TOLD])
    last = max((place for place, message in enumerate(messages) if message.get("role") == "assistant"), default=0)
    if not last or text_of(messages[-1].get("content")).startswith(_NOTE):
        return None
    function = {"name": NOTE_CALL, "arguments": "{}"}
    marked = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": call, "type": "function", "function": function}],
    }
    note = {"role": "tool", "content": in_words(messages[last:]), "tool_call_id": call}
    return [
        *sent[1:last],
        dumps(marked),
        dumps(note),
    ], "nothing in it is unsound, so the last exchange is told in words now"


def in_words(exchange: Sequence[Mapping[str, Any]]) -> str:
    """A reply of the model, its calls and their results as plain text."""
    reply, *results = exchange
    told = [_NOTE]
    if said := text_of(reply.get("content")).strip():
        told.append(f"You said: {said}")
    answers = {str(message.get("tool_call_id")): text_of(message.get("content")) for message in results}
    for call in reply.get("tool_calls") or []:
        function = call["function"]
        told.append(f"You called {function['name']} with {function['arguments']}. It answered:")
        told.append(answers.get(str(call["id"]), "(nothing)"))
    return "\n\n".join(told) + "\n\nGo on from here.</harness>"
