"""`harness replay`: play a recorded run again on the screen, without model, sandbox or waiting."""

from __future__ import annotations

import time

from harness import errors
from harness.commands.show import find_run
from harness.run import Screen
from harness.settings import Settings
from runs.journal import read_events
from runs.state import State

SPEED = 60.0
LONGEST_SECONDS = 2.0
"""Longest pause between two events: an hour of training is not watched again."""


def replay(name: str, settings: Settings, screen: Screen, speed: float = SPEED) -> int:
    """Show the events of a run as they came, `speed` times as fast. Raises `UsageError` and the journal's errors."""
    folder, state, shown_at = find_run(name, settings), State(), 0.0
    for event in read_events(folder):
        state.apply(event)
        pause = min(LONGEST_SECONDS, (state.active_seconds - shown_at) / speed)
        if pause > 0:
            time.sleep(pause)
        shown_at = state.active_seconds
        screen.show(state, event)
    return errors.DONE
