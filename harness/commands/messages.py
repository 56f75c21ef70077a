"""`harness show --messages`: a run as JSON Lines of chat messages, the form that fine-tuning tools read.

One line per epoch of the window, since a window only grows within one: `messages` with the system prompt, all replies
and tool results (`reasoning_content` holds the thinking), `tools`, and where the epoch belongs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from context.window import Window
from harness import errors
from runs.events.registry import EpochStarted, Event, ModelReplied, RunCreated
from runs.journal import read_events


def show_messages(folder: Path, attempt: int | None = None) -> int:
    """Print the conversations of a run, or of one attempt of it."""
    for record in conversations(read_events(folder)):
        if attempt in (None, record["attempt"]):
            print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
    return errors.DONE


def conversations(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """Every epoch with a reply, in the order in which they ended."""
    windows, facts, replied = dict[int, Window](), dict[int, dict[str, Any]](), set[int]()
    run = model = ""
    for event in events:
        if isinstance(event, RunCreated):
            run, model = event.run_id, event.settings.model
        lane = event.lane
        if isinstance(event, EpochStarted):
            if lane in replied:
                yield _record(windows[lane], facts[lane])
                replied.discard(lane)
            facts[lane] = {"run": run, "model": model, "attempt": event.attempt, "lane": lane, "event": event.seq}
        windows.setdefault(lane, Window()).apply(event)
        if isinstance(event, ModelReplied):
            replied.add(lane)
    for lane in sorted(replied):
        yield _record(windows[lane], facts[lane])


def _record(window: Window, facts: dict[str, Any]) -> dict[str, Any]:
    system = [window.system] if window.system else []
    messages = [json.loads(message) for message in [*system, *window.messages]]
    return {**facts, "tools": json.loads(window.tools), "messages": messages}
