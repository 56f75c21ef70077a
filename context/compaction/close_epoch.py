"""ClosePlan an epoch: what leaves the window, and what stands for it, so that no fact goes with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from context import facts
from context.facts import plain_text
from context.first_message import render_notes
from context.notebook import Notebook
from context.truncation.keep_lines import score_lines
from context.window import NOTE_CALL, Group, Window
from runs.views.messages import said_and_thought

_NOTE = re.compile(r"\n<harness>.*</harness>\s*\Z", re.DOTALL)
LONGEST = 150
STUB_BYTES = 130
"""What a stub takes on average, for deciding whether stubs pay."""


@dataclass(frozen=True)
class ClosePlan:
    """What the next epoch begins with: `kept` messages of the tail, and a notebook with the lines that stand for the
    others. `lost` are facts of the leaving turns that only `recall` will find."""

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
    """How the epoch closes by `stage` when only `kept` stays; after a checkpoint words stand for it, not stubs.

    The facts of what leaves are looked for in the new head; those it does not hold are carried on word for word.
    """
    start = kept[0].start if kept else len(window.messages)
    leaving = [group for group in window.groups() if group.start < start]
    stubs = [] if stage == "checkpoint" else [*notebook.stubs, *stubs_of(window, leaving)]
    found = facts.extract_facts(window.messages[1:start])
    following = replace(
        notebook,
        stubs=stubs,
        facts=facts.merge_facts(notebook.facts, found),
        decided=[*notebook.decided, *rejected],
        last_stage=stage,
    )
    lost = facts.find_missing(found, render_notes(following))
    return ClosePlan(len(window.messages) - start, following, len(found), tuple(lost))


def stubs_of(window: Window, groups: Iterable[Group]) -> list[str]:
    """Lines for these exchanges, oldest first, each beginning with the number of its event."""
    lines = []
    for group in groups:
        lines += _lines(window.messages[group.start : group.end], window.seqs[group.start : group.end])
    return lines


def _lines(messages: Sequence[bytes], seqs: Sequence[int]) -> list[str]:
    reply, *answers = [json.loads(message) for message in messages]
    results = {
        str(message.get("tool_call_id")): (_NOTE.sub("", plain_text(message.get("content"))), seq)
        for message, seq in zip(answers, seqs[1:], strict=True)
    }
    lines = []
    for call in reply.get("tool_calls") or []:
        content, seq = results.get(str(call.get("id")), ("no result", seqs[0]))
        if call["function"]["name"] not in (NOTE_CALL, "checkpoint"):
            lines.append(_line(seq, call["function"], content))
    said = said_and_thought(messages[0].decode(errors="replace"))[0].strip()
    return lines or ([f"- event {seqs[0]} said: {_cut(said)}"] if said else [])


def _line(seq: int, function: dict[str, Any], content: str) -> str:
    first = content.split("\n", 1)[0]
    size = len(content.encode(errors="replace"))
    shown = f", {size / 1000:.1f} kB" if size > 1000 else ""
    scores = [line for line in score_lines(content, 2) if line != first.strip()]
    rescued = f"; {_cut(' / '.join(scores))}" if scores else ""
    where = f"event {seq}" if seq >= 0 else "event unknown"
    return f"- {where} {function['name']} {_cut(_argument(function))}: {_cut(first, 80)}{shown}{rescued}"


def _argument(function: dict[str, Any]) -> str:
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


def _cut(text: str, most: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
