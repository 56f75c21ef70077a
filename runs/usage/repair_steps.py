"""Counts how often a tool call of the model had to be repaired before it could be read, by repair step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from runs.events.registry import Event, ModelReplied

NATIVE, ERROR = "native", "error"
"""The steps of a call that was valid as it came, and of one that could not be executed."""


def count_repair_steps(events: Iterable[Event]) -> Counter[str]:
    """The number of tool calls by the repair step that read them."""
    return Counter(call.repair_step for event in events if isinstance(event, ModelReplied) for call in event.calls)


def repair_line(counts: Mapping[str, int]) -> str:
    """One line for people, the most frequent steps first; empty if no call needed repair."""
    repaired = {step: count for step, count in counts.items() if step not in (NATIVE, ERROR) and count}
    rejected = counts.get(ERROR, 0)
    if not repaired and not rejected:
        return ""
    by_count = sorted(repaired.items(), key=lambda item: (-item[1], item[0]))
    steps = f" ({', '.join(f'{step} {count}' for step, count in by_count)})" if repaired else ""
    return f"{sum(repaired.values())} of {sum(counts.values())} repaired{steps}, {rejected} rejected"
