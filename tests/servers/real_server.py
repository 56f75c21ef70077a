"""Starts a server that nobody here wrote, on loopback, and ends it."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.chat_server import unused_port

START_SECONDS = 120.0


@contextmanager
def real_server(command: Sequence[str], log: Path, healthy: str) -> Iterator[int]:
    """The port of a server that answers at the path `healthy`; `command` takes `--host` and `--port` at its end."""
    port = unused_port()
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _await(f"http://127.0.0.1:{port}{healthy}", lambda: server.poll() is None)
            yield port
        finally:
            server.kill()
            server.wait()


def _await(url: str, is_alive: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and is_alive():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")
