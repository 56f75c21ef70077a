"""How many requests may be in flight at once: one for each lane, until the endpoint refuses that many."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.25
LIMITED, LIMITED_SECONDS = 3, 600.0
"""So many refusals for too many requests (429) within this time take one lane away."""


class RequestSlots:
    """Counts requests in flight, and refusals of the endpoint because there are too many."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._taken = 0
        self._refused_at: list[float] = []

    @contextmanager
    def take(self, limit: Callable[[], int], on_wait: Callable[[], object]) -> Iterator[None]:
        """Hold a slot, once fewer than `limit()` are taken. `on_wait` is called while it waits, and may raise."""
        with self._freed:
            while self._taken >= limit():
                self._freed.wait(LOOK_SECONDS)
                on_wait()
            self._taken += 1
        try:
            yield
        finally:
            with self._freed:
                self._taken -= 1
                self._freed.notify()

    def count_refusal(self) -> bool:
        """Count a refusal; whether there are too many, so that one lane less should ask."""
        now = time.monotonic()
        with self._freed:
            self._refused_at = [*(at for at in self._refused_at if now - at < LIMITED_SECONDS), now]
            if len(self._refused_at) < LIMITED:
                return False
            self._refused_at = []
            return True
