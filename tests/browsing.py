"""What the tests in a real browser share: pages that are watched, and the runs that they show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.page_server import PageServer

RUN, HOSTILE = "20261130-080000_digits_0_day", "20261130-090000_digits_0_hostile"


@dataclass
class Watched:
    """A page of the browser, with everything it complained about and every host it asked."""

    page: Any
    server: PageServer
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def open(self, path: str) -> Any:
        """Open a path of the server."""
        self.page.goto(f"{self.server.url}{path}", wait_until="domcontentloaded")
        return self.page

    def text(self) -> str:
        """All text that can be seen."""
        return str(self.page.inner_text("body"))


def watch(browser: Any, server: PageServer, **options: Any) -> Iterator[Watched]:
    """A page that has exchanged the token, in a context of its own."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(15_000)
    watched = Watched(page, server)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on("console", lambda said: watched.complaints.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: watched.hosts.add(request.url.split("/")[2]))
    page.goto(server.entry, wait_until="domcontentloaded")
    yield watched
    context.close()
