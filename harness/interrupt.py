"""Stop on request: the first Ctrl-C (or TERM, HUP) finishes the current step, the second stops at once.

A step that takes longer than a few seconds, such as a long reply or wait, is interrupted and continued on resume.
Nothing is lost, because every step is on record before it starts.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REPEATED_SECONDS = 1.0
"""A second TERM or HUP within this time is the same request."""


class StopRequested(KeyboardInterrupt):
    """The owner asked the run to stop; it is resumable.

    Not an `Exception`, because it is raised in the middle of any code: the openai SDK 3.0, for example, turns every
    `Exception` while it waits for headers into a failed connection.
    """


class Stopping:
    """Whether a stop was requested, and by which signal."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self.asked_by = ""
        self._asked_at = 0.0
        self._is_halted = False

    def check(self) -> None:
        """Raise `StopRequested` if a stop was requested. Called wherever a step may be interrupted."""
        if self.asked_by or self._is_halted:
            raise StopRequested(self.asked_by or "an error")

    def halt(self) -> None:
        """Request a stop of all lanes, because one of them cannot go on."""
        self._is_halted = True

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.asked_by:
            # A scheduler, or the death of a parent with threads, sends several at once.
            if number != signal.SIGINT and time.monotonic() - self._asked_at < REPEATED_SECONDS:
                return
            raise KeyboardInterrupt
        self.ask("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)

    def ask(self, by: str) -> None:
        """Request a stop: the current step may finish within the patience of a stop."""
        self.asked_by, self._asked_at = by, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, self._patience_seconds)

    def _on_patience_over(self, _number: int, _frame: FrameType | None) -> None:
        raise StopRequested(self.asked_by)

    def calm(self) -> None:
        """Interrupt nothing more: what remains to be written is short."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Handle the signals while a run is played, then restore the earlier handlers.

        A HUP that is ignored already, as under `nohup`, stays ignored.
        """
        hup = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
        handled = (signal.SIGINT, signal.SIGTERM, *hup)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_patience_over)
        try:
            yield
        finally:
            self.calm()
            for number, handler in before.items():
                signal.signal(number, handler)
