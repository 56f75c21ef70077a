"""Closing an epoch: what leaves the window, what stays in which form, and which lines replace the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from context.compaction.masking import (
    CHECKPOINT,
    informative_lines,
    last_sentence,
    mask_messages,
    masked_size,
    tidy,
    unmask,
)
from context.notebook import Notebook
from context.window import GONE, NOTE_CALL, Group, Window, strip_harness_note
from runs.views.format import one_line
from runs.views.messages import content_text, split_thinking

LONGEST = 150
"""Characters of an argument in a stub."""
SAID_LONGEST = 400
MOST_NAMED = 6
MOST_STUBS, MOST_COMMANDS = 80, 16
"""Lines that stand for turns that left, and those of commands among them that outlive a checkpoint."""
_COMMAND = re.compile(r"- event (\d+) (?:bash|wait) `(.*)`: ")


@dataclass(frozen=True)
class ClosePlan:
    """What the next epoch starts with: the last `kept` messages with what is `changed` in them (as `EpochStarted` has
    it), and a notebook with what replaces the others."""

    kept: int
    changed: str
    notebook: Notebook


def plan_close(
    window: Window, notebook: Notebook, *, stage: str, dropped: int, masked: int, rejected: Sequence[str] = ()
) -> ClosePlan:
    """Plan the close of an epoch: the oldest `dropped` exchanges leave, the outputs of the next `masked` ones too.

    After stage `checkpoint` the model's words and a line per command replace what leaves, otherwise one line per call
    does.
    """
    groups = window.groups()
    start = groups[dropped].start if dropped < len(groups) else len(window.messages)
    stubs = [*notebook.stubs, *stubs_of(window, groups[:dropped])]
    stubs = stubs[-MOST_STUBS:] if stage != "checkpoint" else _latest_commands(stubs, notebook.facts.results)
    changed = [line for index, group in enumerate(groups[dropped:]) for line in _changes(window, group, index < masked)]
    first = next((seq for seq in window.seqs[start:] if seq >= 0), 2**62)
    following = replace(
        notebook,
        stubs=stubs,
        shown_facts=notebook.facts.lines(before=first),
        decided=[*notebook.decided, *rejected],
        last_stage=stage,
    )
    return ClosePlan(len(window.messages) - start, "\n".join(changed).rstrip("\n"), following)


def _latest_commands(stubs: Sequence[str], results: Set[int]) -> list[str]:
    """The lines of the latest commands, the newest of each, without those whose results are kept as facts."""
    latest: dict[str, str] = {}
    for stub in stubs:
        match = _COMMAND.match(stub)
        if match and int(match[1]) not in results:
            command = match[1] if match[2].endswith("…") else match[2]  # of a cut one the rest may differ
            latest.pop(command, None)
            latest[command] = stub
    return list(latest.values())[-MOST_COMMANDS:]


def plan_forced(window: Window, room: float) -> tuple[int, int]:
    """How many exchanges to drop and to mask so that the tail takes at most `room` bytes: outputs leave first."""
    groups = window.groups()
    whole = [group.size for group in groups]
    short = [masked_size(window.messages[group.start : group.end]) for group in groups]
    if sum(short[:-1]) + sum(whole[-1:]) <= room:
        return 0, max(0, len(groups) - 1)
    dropped = 0
    while dropped < len(groups) and sum(short[dropped:]) > room:
        dropped += max(1, (len(groups) - dropped) // 4)
    return min(dropped, len(groups)), len(groups)


def _changes(window: Window, group: Group, is_masked: bool) -> list[str]:
    """One line per message of an exchange, as `EpochStarted.changed` has it."""
    messages, seqs = window.messages[group.start : group.end], window.seqs[group.start : group.end]
    shown = tidy(messages)
    if is_masked:
        short = mask_messages([one or b"{}" for one in shown], seqs)
        shown = [None if one is None else short[index] for index, one in enumerate(shown)]
    pairs = zip(messages, shown, strict=True)
    return [GONE if new is None else "" if new == old else new.decode("utf-8", "replace") for old, new in pairs]


def describe_leaving(window: Window, groups: Sequence[Group]) -> str:
    """What is about to leave, in a sentence: event numbers, and the calls by tool with what they were about."""
    named: dict[str, list[str]] = {}
    seqs = [seq for group in groups for seq in window.seqs[group.start : group.end] if seq >= 0]
    for group in groups:
        for call in json.loads(window.messages[group.start]).get("tool_calls") or []:
            if call["function"]["name"] not in (NOTE_CALL, CHECKPOINT):
                named.setdefault(call["function"]["name"], []).append(_main_argument(call["function"], 60))
    parts = []
    for name, about in named.items():
        latest = list(dict.fromkeys(filter(None, reversed(about))))[:MOST_NAMED]
        parts.append(f"{len(about)} {name}" + (f" ({', '.join(reversed(latest))})" if latest else ""))
    events = f"events {seqs[0]} to {seqs[-1]}" if seqs else "the oldest"
    return f"the turns of {events} are about to leave your window: {'; '.join(parts) or 'words without calls'}"


def stubs_of(window: Window, groups: Iterable[Group]) -> list[str]:
    """One line per reply with words and one per call, oldest first; each names the event in which `recall` finds it."""
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
    said, thought = split_thinking(messages[0].decode(errors="replace"))
    words = " ".join(filter(None, [one_line(said, SAID_LONGEST), last_sentence(thought)]))
    stubs = [f"- {_event(seqs[0])} you said: {one_line(words, SAID_LONGEST)}"] if words else []
    for call in reply.get("tool_calls") or []:
        content, seq = results.get(str(call.get("id")), ("no result", seqs[0]))
        if call["function"]["name"] not in (NOTE_CALL, CHECKPOINT):
            stubs.append(_stub(seq, call["function"], content))
    return stubs


def _stub(seq: int, function: dict[str, Any], content: str) -> str:
    argument = _main_argument(function, LONGEST)
    if masked := unmask(content):
        return f"- {_event(seq)} {function['name']} {argument}: {masked}"
    first_line = content.split("\n", 1)[0]
    size = len(content.encode(errors="replace"))
    size_text = f", {size / 1000:.1f} kB" if size > 1000 else ""
    kept = [one_line(line, LONGEST) for line in informative_lines(content) if line != first_line.strip()]
    shown = f"; {' / '.join(kept)}" if kept else ""
    return f"- {_event(seq)} {function['name']} {argument}: {one_line(first_line, 80)}{size_text}{shown}"


def _event(seq: int) -> str:
    return f"event {seq}" if seq >= 0 else "event unknown"


def _main_argument(function: dict[str, Any], longest: int) -> str:
    """What a call was about, on one line between backticks, of which a long argument loses neither."""
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        return ""
    if not isinstance(arguments, dict):
        return ""
    for name in ("command", "path", "job", "jobs", "query", "event", "evaluation"):
        if arguments.get(name):
            return f"`{one_line(str(arguments[name]), longest - 2)}`"
    return ""
