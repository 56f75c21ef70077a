"""What the model saw at a turn: the messages of its request, rebuilt from the events before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runs.events.registry import Event
from runs.page.facts.run_view import RunView
from runs.views.format import one_line, printable, printable_lines


@dataclass(frozen=True)
class SeenWindow:
    """The exact texts of a request. `seqs` are the events of its messages; `is_exact`: the recorded digest
    matches (None: none was recorded)."""

    system: bytes
    tools: bytes
    messages: tuple[bytes, ...]
    seqs: tuple[int, ...]
    is_exact: bool | None


def window_facts(view: RunView, number: int, window_of: Callable[[Iterable[Event]], SeenWindow]) -> dict[str, Any]:
    """The facts of the window of a turn. Raises `JournalError` if there is no such turn."""
    with view.lock:
        seen = window_of(view.events_before_turn(number))
    messages = [_message(seen.system, 0)]
    messages += [
        _message(message, view.turn_of(seq) if seq > 0 else 0)
        for message, seq in zip(seen.messages, seen.seqs, strict=True)
    ]
    return {
        "messages": messages,
        "tools": _pretty(seen.tools),
        "size": len(seen.system) + len(seen.tools) + sum(map(len, seen.messages)),
        "is_exact": seen.is_exact,
    }


def _message(raw: bytes, turn: int) -> dict[str, Any]:
    text = raw.decode("utf-8", "replace")
    try:
        fields = json.loads(text)
    except ValueError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    content = fields.pop("content", "") if isinstance(fields.get("content"), str) else ""
    role = str(fields.pop("role", "unknown"))
    rest = json.dumps(fields, ensure_ascii=False, indent=1) if fields else ""
    shown = "\n\n".join(part for part in (content, rest) if part)
    head = one_line(printable(content or rest), 90)
    return {"role": role, "size": len(text), "turn": turn, "head": head, "text": printable_lines(shown[:400_000])}


def _pretty(raw: bytes) -> str:
    try:
        return json.dumps(json.loads(raw), ensure_ascii=False, indent=1)
    except ValueError:
        return raw.decode("utf-8", "replace")
