"""Stopping on request: the first Ctrl-C (or TERM, HUP) finishes the current step, the second stops at once.

A step that would take longer than a few seconds, such as a long reply or a long wait, is left and taken up again on
resume; nothing is lost either way, because every step is on record before it starts.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequested(KeyboardInterrupt):
    """The owner asked the run to stop; it is resumable.

    No `Exception`, because it is raised in the middle of anything: what wraps every `Exception` it meets, as the openai
    SDK 3.0 does while it waits for headers, would make a failed connection of it.
    """


class Stopping:
    """Remembers whether a stop was asked for, and by what."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self.asked_by = ""

    def check(self) -> None:
        """Raise `StopRequested` if a stop was asked for: called wherever a step may be left."""
        if self.asked_by:
            raise StopRequested(self.asked_by)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.asked_by:
            raise KeyboardInterrupt
        self.asked_by = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        signal.setitimer(signal.ITIMER_REAL, self._patience_seconds)

    def _on_patience_over(self, _number: int, _frame: FrameType | None) -> None:
        raise StopRequested(self.asked_by)

    def calm(self) -> None:
        """Interrupt nothing more: the step has been left, and what remains to be written is short."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle the signals while a run is played; what handled them before does so again afterwards."""
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._on_signal)
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_patience_over)
        try:
            yield
        finally:
            self.calm()
            for number, handler in before.items():
                signal.signal(number, handler)
