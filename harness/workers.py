"""The threads of a run: its lanes and its open evaluations. The main thread waits for them and for signals.

The first error of a worker, and a request to stop, end all of them at their next step. A worker that takes longer than
the patience of a stop is left behind: it records nothing more, so a resumed run continues as after a crash.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

WAKE_SECONDS = 0.5
"""How often the main thread looks whether its patience with the workers is over."""


class Workers:
    """The threads that work on one run, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working: set[str] = set()
        self._ended: queue.SimpleQueue[tuple[str, BaseException | None]] = queue.SimpleQueue()

    def start(self, name: str, work: Callable[[], object]) -> None:
        """Start a thread with some work, unless one of that name is still working."""
        with self._lock:
            if name in self._working:
                return
            self._working.add(name)
        threading.Thread(target=self._work, args=(name, work), name=name, daemon=True).start()

    @property
    def are_working(self) -> bool:
        """Whether a worker has not ended yet."""
        return bool(self._working)

    def wait(self, halt: Callable[[], None], patience_seconds: float) -> BaseException | None:
        """Wait until all workers have ended, and return the first error of one.

        After an error `halt` is called once, and the others have `patience_seconds` to end.
        """
        first: BaseException | None = None
        patience_ends = float("inf")
        while self.are_working and time.monotonic() < patience_ends:
            try:
                name, error = self._ended.get(timeout=WAKE_SECONDS)
            except queue.Empty:
                continue
            with self._lock:
                self._working.discard(name)
            if first is None and error is not None:
                first = error
                halt()
                patience_ends = time.monotonic() + patience_seconds
        return first

    def _work(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            self._ended.put((name, error))
        else:
            self._ended.put((name, None))
