"""Announce the steps of a long preparation, so that a person never waits more than two seconds without a line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.progress import listening

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 60.0
_TICK_SECONDS = 0.25


@contextmanager
def announcing_long_steps(say: Callable[[str], None]) -> Iterator[None]:
    """Within the block, `say` what is being done once it has lasted two seconds, and then ever more rarely."""
    announcer = _Announcer(say)
    thread = threading.Thread(target=announcer.watch, name="progress", daemon=True)
    with listening(announcer.note):
        thread.start()
        try:
            yield
        finally:
            announcer.over.set()
            thread.join()


class _Announcer:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._doing = "preparing"
        self._began = self._said = time.monotonic()
        self._pause = FIRST_SECONDS
        self.over = threading.Event()

    def note(self, doing: str) -> None:
        """A step begins, or has come further; a step is named by the words before the first comma."""
        if doing.partition(",")[0] != self._doing.partition(",")[0]:
            self._began, self._pause = time.monotonic(), FIRST_SECONDS
        self._doing = doing

    def watch(self) -> None:
        while not self.over.wait(_TICK_SECONDS):
            now = time.monotonic()
            if now - self._said >= self._pause:
                self._said, lasted = now, now - self._began
                self._pause = min(LONGEST_SECONDS, max(FIRST_SECONDS, lasted))
                self._say(f"{self._doing} ({lasted:.0f} s)")
