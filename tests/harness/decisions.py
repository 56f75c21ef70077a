"""Ask the search policy again over a journal: every recorded decision must repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.search.from_run import search_state
from harness.search.load import load_policy
from harness.search.start import decide
from runs.events.registry import Event, MoveChosen, RunCreated
from runs.state import State


def decisions_in(events: Sequence[Event]) -> list[MoveChosen]:
    """The decisions of a run, oldest first."""
    return [event for event in events if isinstance(event, MoveChosen)]


def assert_decisions_repeat(folder: Path, events: Sequence[Event]) -> None:
    """Fold the journal up to what each decision had seen, ask the policy again, and compare."""
    created, state, applied = events[0], State(), 0
    assert isinstance(created, RunCreated)
    policy = load_policy(created.settings.search, folder)
    for event in decisions_in(events):
        last = event.seq - 1 if event.seen is None else event.seen
        for earlier in events[applied : last + 1]:
            state.apply(earlier)
        applied = last + 1
        seen = search_state(state, event.active_seconds, event.lane, event.lanes)
        assert seen.digest() == event.digest, f"attempt {event.next} was decided from another state"
        move = decide(policy, seen, event.seed)
        decided = (move.kind, list(move.parents), move.focus, list(move.reasons))
        assert decided == (event.move, event.parents, event.focus, event.reasons)
