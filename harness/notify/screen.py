"""A screen that also notifies: it shows what the inner one shows, and delivers notices and events."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.notify.notices import Notice, NoticeFold
from harness.notify.send import Message, Sender
from harness.run import Screen
from harness.ui.event_lines import line_of
from runs.events.registry import Event
from runs.state import State

LOW_DISK_BYTES = 5_000_000_000
DISK_SECONDS = 60.0


@contextmanager
def notifying(screen: Screen, command: str, addresses: Sequence[str], folder: Path) -> Iterator[Screen]:
    """The screen of a run that notifies where that is asked for. Raises `UsageError`."""
    if not (command or addresses):
        yield screen
        return
    sender = Sender(command, addresses, screen.say)
    try:
        yield NotifyingScreen(screen, sender, folder)
    finally:
        sender.close()


class NotifyingScreen:
    """Implements `Screen`. It is called under the run's lock, so it only puts messages into a queue."""

    def __init__(self, screen: Screen, sender: Sender, folder: Path) -> None:
        self._screen, self._sender, self._folder = screen, sender, folder
        self._fold: NoticeFold | None = None
        self._is_low = False
        self._measured_at = float("-inf")

    def show(self, state: State, event: Event) -> None:
        """Show an event, and deliver its notices, or else its line."""
        self._screen.show(state, event)
        if self._fold is None:
            self._fold = NoticeFold(state, state.active_seconds)
        notices = self._fold.apply(state, event)
        line = line_of(state, event)
        for notice in notices or ([Notice("other", line)] if line else []):
            self._put(state, notice, event)

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        """Redraw, and look once a minute whether the disk has room."""
        self._screen.alive(state, doing, tail, lane)
        if time.monotonic() - self._measured_at < DISK_SECONDS:
            return
        self._measured_at = time.monotonic()
        free = shutil.disk_usage(self._folder).free
        if free < LOW_DISK_BYTES and not self._is_low:
            self._put(state, Notice("disk_low", f"{free / 1e9:.1f} GB are free where the runs are"), None)
        self._is_low = free < (2 * LOW_DISK_BYTES if self._is_low else LOW_DISK_BYTES)

    def say(self, line: str) -> None:
        """Only shown."""
        self._screen.say(line)

    def close(self) -> None:
        """Give the terminal back."""
        self._screen.close()

    def _put(self, state: State, notice: Notice, event: Event | None) -> None:
        if state.created is not None:
            fields = event.model_dump(mode="json") if event else {}
            self._sender.put(Message(state.created.run_id, state.created.task_id, notice, fields))
