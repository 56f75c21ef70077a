"""Closing an epoch: which lines and facts replace the turns that leave the window."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from context import facts
from context.first_message import render_notes
from context.notebook import Notebook
from context.truncation.keep_lines import score_lines
from context.window import NOTE_CALL, Group, Window, strip_harness_note
from runs.views.format import one_line
from runs.views.messages import content_text, split_thinking

LONGEST = 150
"""Characters of an argument or reply in a stub."""
STUB_BYTES = 130
"""Average size of a stub, for deciding whether stubs pay."""


@dataclass(frozen=True)
class ClosePlan:
    """What the next epoch starts with: the last `kept` messages, and a notebook with what replaces the others.

    `facts` counts the facts in the messages that leave; `lost` are those that only `recall` will find.
    """

    kept: int
    notebook: Notebook
    facts: int
    lost: tuple[str, ...]


def plan_close(
    window: Window,
    notebook: Notebook,
    kept: Sequence[Group],
    *,
    stage: str,
    rejected: Sequence[str] = (),
) -> ClosePlan:
    """Plan the close of an epoch of which only the exchanges `kept` stay.

    After stage `checkpoint` the model's words replace the rest, otherwise stubs do. Facts that neither contains are
    carried on verbatim.
    """
    start = kept[0].start if kept else len(window.messages)
    leaving = [group for group in window.groups() if group.start < start]
    stubs = [] if stage == "checkpoint" else [*notebook.stubs, *stubs_of(window, leaving)]
    leaving_facts = facts.extract_facts(window.messages[1:start])
    following = replace(
        notebook,
        stubs=stubs,
        facts=facts.merge_facts(notebook.facts, leaving_facts),
        decided=[*notebook.decided, *rejected],
        last_stage=stage,
    )
    lost = facts.find_missing(leaving_facts, render_notes(following))
    return ClosePlan(len(window.messages) - start, following, len(leaving_facts), tuple(lost))


def stubs_of(window: Window, groups: Iterable[Group]) -> list[str]:
    """One line per call of these exchanges, oldest first; each names the event in which `recall` finds it."""
    stubs = []
    for group in groups:
        stubs += _stubs_of_exchange(window.messages[group.start : group.end], window.seqs[group.start : group.end])
    return stubs


def _stubs_of_exchange(messages: Sequence[bytes], seqs: Sequence[int]) -> list[str]:
    reply, *answers = [json.loads(message) for message in messages]
    results = {
        str(message.get("tool_call_id")): (strip_harness_note(content_text(message.get("content"))), seq)
        for message, seq in zip(answers, seqs[1:], strict=True)
    }
    stubs = []
    for call in reply.get("tool_calls") or []:
        content, seq = results.get(str(call.get("id")), ("no result", seqs[0]))
        if call["function"]["name"] not in (NOTE_CALL, "checkpoint"):
            stubs.append(_stub(seq, call["function"], content))
    said = split_thinking(messages[0].decode(errors="replace"))[0].strip()
    return stubs or ([f"- event {seqs[0]} said: {one_line(said, LONGEST)}"] if said else [])


def _stub(seq: int, function: dict[str, Any], content: str) -> str:
    first_line = content.split("\n", 1)[0]
    size = len(content.encode(errors="replace"))
    size_text = f", {size / 1000:.1f} kB" if size > 1000 else ""
    scores = [line for line in score_lines(content, 2) if line != first_line.strip()]
    score_text = f"; {one_line(' / '.join(scores), LONGEST)}" if scores else ""
    event = f"event {seq}" if seq >= 0 else "event unknown"
    argument = one_line(_main_argument(function), LONGEST)
    return f"- {event} {function['name']} {argument}: {one_line(first_line, 80)}{size_text}{score_text}"


def _main_argument(function: dict[str, Any]) -> str:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        return ""
    if not isinstance(arguments, dict):
        return ""
    for name in ("command", "path", "job", "jobs", "query", "event"):
        if name in arguments:
            return f"`{arguments[name]}`"
    return ""
