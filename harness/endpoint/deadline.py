"""Ends a request at its deadline: a read timeout never ends a server that sends a few bytes at a time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


class DeadlineGuard:
    """Shuts the socket of the current request when its deadline passes.

    One thread sleeps from deadline to deadline, so that a call needs no new thread; it ends when it wakes and no
    request is active.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._deadline: float | None = None
        self._wakes_at: float | None = None
        self._socket: socket.socket | None = None

    def attach(self, request: httpx2.Request) -> None:
        """Event hook of the HTTP client: learn which socket this request uses."""
        request.extensions = {**request.extensions, "trace": self._trace}

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Shut the connection if the block takes longer than `seconds`."""
        with self._lock:
            self._deadline = time.monotonic() + seconds
            if self._wakes_at is None:
                self._wakes_at = self._deadline
                threading.Thread(target=self._run, name="deadline-guard", daemon=True).start()
            elif self._wakes_at > self._deadline:
                self._lock.notify()
        try:
            yield
        finally:
            with self._lock:
                self._deadline = None

    def _run(self) -> None:
        with self._lock:
            while self._deadline is not None:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self._shut_down()
                    break
                self._wakes_at = self._deadline
                self._lock.wait(left)
            self._wakes_at = None

    def _shut_down(self) -> None:
        # Shutting down wakes a reader in another thread; closing would not.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            connected = info["return_value"].get_extra_info("socket")
            self._socket = connected if isinstance(connected, socket.socket) else None
