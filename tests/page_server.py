"""Serve the pages of a HARNESS_HOME in this process, over real HTTP on loopback, and read them."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from harness.commands.view import _listen, sources_of
from harness.settings import Settings
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row
from runs.page.app import make_app
from runs.page.security import Access


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class PageServer:
    """A running server, and the secrets of its pages."""

    access: Access

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://127.0.0.1:{self.access.port}"

    @property
    def entry(self) -> str:
        """The address that a person opens first."""
        return f"{self.url}/?token={self.access.token}"

    def get(self, path: str, **headers: str) -> Answer:
        """Read a page as a browser with the cookie does."""
        return self.ask("GET", path, "", {"Cookie": f"{self.access.cookie}={self.access.session}", **headers})

    def ask(self, method: str, path: str, body: str, headers: dict[str, str]) -> Answer:
        """Send a request with exactly these headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.access.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, text)
        finally:
            connection.close()


@contextlib.contextmanager
def serve(home: Path) -> Iterator[PageServer]:
    """A server of all runs under `home`."""
    listener = _listen(0)
    access = Access(listener.getsockname()[1])
    app = make_app(sources_of(Settings(home)), access)
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    app.state.pages.is_over = lambda: server.should_exit
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield PageServer(access)
    finally:
        server.should_exit = True
        thread.join(10)


def write_sweep(home: Path, name: str, *run_ids: str) -> None:
    """Make a sweep of the task digits with these runs, none of which was played by it."""
    rows = [Row(f"r{seed}", run_id, "digits", "digits", seed, {}, {}) for seed, run_id in enumerate(run_ids)]
    plan = Plan(name, "2026-11-30T08:00:00Z", "0.2.0", "", "local", 1, 2, 10**9, score=False, rows=tuple(rows))
    Store(home, name).create(lambda draft: (plan, ""))
