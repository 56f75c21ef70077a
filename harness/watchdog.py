"""Ends a request at its deadline, whatever it is busy with: a read timeout never ends a server that drips bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2


class Watchdog:
    """Knows the socket of the one request under way, and shuts it when the time is over."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def attach(self, request: httpx2.Request) -> None:
        """Event hook of the HTTP client: watch what this request connects to."""
        request.extensions = {**request.extensions, "trace": self._trace}

    @contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Shut the connection if what is done inside takes longer than `seconds`."""
        timer = threading.Timer(seconds, self._bark)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")
            self._socket = found if isinstance(found, socket.socket) else None

    def _bark(self) -> None:
        # Shutting wakes a reader in another thread; closing would not.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
