"""How many requests may be in flight at once: one for each lane, until the endpoint refuses that many; and over all
runs of a home as many as the setting `requests_at_once` allows."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 0.25
LIMITED, LIMITED_SECONDS = 3, 600.0
"""So many refusals for too many requests (429) within this time take one lane away."""


class RequestSlots:
    """Counts requests in flight, and refusals of the endpoint because there are too many."""

    def __init__(self) -> None:
        self._freed = threading.Condition()
        self._taken = 0
        self._refused_at: list[float] = []
        self._quiet_since = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the last refusal."""
        return time.monotonic() - self._quiet_since

    def start_quiet(self) -> None:
        """Count the time without a refusal from now on."""
        self._quiet_since = time.monotonic()

    @contextmanager
    def take(self, limit: Callable[[], int], on_wait: Callable[[], object]) -> Iterator[None]:
        """Hold a slot, once fewer than `limit()` are taken. `on_wait` is called while it waits, and may raise."""
        while not self._try(limit()):
            on_wait()  # without the lock: a pause of the run may last long
        try:
            yield
        finally:
            with self._freed:
                self._taken -= 1
                self._freed.notify()

    def _try(self, limit: int) -> bool:
        with self._freed:
            if self._taken >= limit:
                self._freed.wait(LOOK_SECONDS)
            is_free = self._taken < limit
            self._taken += is_free
            return is_free

    def count_refusal(self) -> bool:
        """Count a refusal; whether there are too many, so that one lane less should ask."""
        now = self._quiet_since = time.monotonic()
        with self._freed:
            self._refused_at = [*(at for at in self._refused_at if now - at < LIMITED_SECONDS), now]
            if len(self._refused_at) < LIMITED:
                return False
            self._refused_at = []
            return True


class SharedSlots:
    """Slots that all runs of a home share, per address of an endpoint: locked files, which the kernel unlocks when
    their process ends, however it ends."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "requests"

    @contextmanager
    def take(self, address: str, limit: int | None, on_wait: Callable[[], object]) -> Iterator[None]:
        """Hold one of `limit` slots (None: no limit). `on_wait` is called while it waits, and may raise."""
        if limit is None:
            yield
            return
        while (handle := self.try_once(address, limit)) is None:
            time.sleep(LOOK_SECONDS)
            on_wait()
        try:
            yield
        finally:
            os.close(handle)

    def try_once(self, address: str, limit: int) -> int | None:
        """Take one of `limit` slots: its handle, which holds it until it is closed; None if all are taken."""
        folder = self._folder / hashlib.sha256(address.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        for number in random.sample(range(limit), limit):
            handle = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                os.close(handle)
        return None
