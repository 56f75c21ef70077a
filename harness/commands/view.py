"""`harness view`: serve the pages of all runs to a browser on this machine."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from context.window import Window
from harness import errors
from harness.commands.show import find_run
from harness.settings import Settings
from harness.sweep import table
from harness.sweep.row_state import Reader, RowState
from harness.sweep.store import Store, list_sweeps
from runs.events.registry import Event, ModelAsked
from runs.page.app import make_app
from runs.page.facts.sweep import SweepFacts
from runs.page.facts.window import SeenWindow
from runs.page.security import Access
from runs.page.sources import Sources
from runs.serialization import JournalError

HOST = "127.0.0.1"
PORT = 8765
"""The port that is tried first, so that an address can be kept; a free one is taken where it is in use."""

SWITCH_SECONDS = 0.0005
"""A thread that reads a journal lets the others go on after so long (Python's default, 0.005, makes a page wait)."""


def view_runs(name: str | None, settings: Settings, port: int | None = None) -> int:
    """Serve the pages until Ctrl-C, and print the address to open. Raises `UsageError`."""
    import uvicorn

    sys.setswitchinterval(SWITCH_SECONDS)
    folder = find_run(name, settings) if name else None
    listener = _listen(port)
    access = Access(listener.getsockname()[1])
    app = make_app(sources_of(settings, folder), access)
    path = f"run/{folder.name}" if folder else ""
    if folder:
        app.state.pages.view(folder.name, 0.0)  # begin to read its journal
    print(f"open http://{HOST}:{access.port}/{path}?token={access.token}\nCtrl-C ends it.", flush=True)
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=3, lifespan="off")
    server = uvicorn.Server(config)
    app.state.pages.is_over = lambda: server.should_exit
    with suppress(KeyboardInterrupt):  # the way to end it
        server.run(sockets=[listener])
    return errors.DONE


def sources_of(settings: Settings, folder: Path | None = None) -> Sources:
    """Where the pages come from; `folder` may be a run outside HARNESS_HOME."""
    is_outside = folder is not None and folder.parent != settings.runs
    others = {folder.name: folder} if folder is not None and is_outside else {}
    sweeps = Sweeps(settings.home)
    return Sources(settings.runs, settings.grades, window_of, others, sweeps.names, sweeps.facts)


class Sweeps:
    """The sweeps of a HARNESS_HOME, as their pages show them. A file is read again only if it has changed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._readers: dict[str, Reader] = {}

    def names(self) -> list[str]:
        """The names of all sweeps."""
        return list_sweeps(self._home)

    def facts(self, name: str) -> SweepFacts | None:
        """A sweep with the state of each of its runs; None if there is none of this name. Raises `JournalError`."""
        if name not in self.names():
            return None
        try:
            store = Store(self._home, name)
            reader = self._readers.get(name) or Reader(store, store.plan())
        except errors.UsageError as error:
            raise JournalError(str(error)) from error
        self._readers[name] = reader
        rows = reader.rows()
        shown = tuple((one.row.run_id, one.state, tuple(_sweep_cells(one))) for one in rows)
        return SweepFacts(name, tuple(table.headline(reader.plan, rows, store)), table.HEADER, shown)


def _sweep_cells(one: RowState) -> Iterator[tuple[str, float | None]]:
    numbers = {"score": one.summary.get("score"), "cost": one.cost, "active": one.hours}
    for name, text in zip(table.HEADER, table.cells(one), strict=True):
        yield text, numbers.get(name) if text else None


def window_of(events: Iterable[Event]) -> SeenWindow:
    """The window of the last request among the events of one attempt."""
    window, last = Window(), None
    for event in events:
        window.apply(event)
        last = event if isinstance(event, ModelAsked) else last
    count = last.messages if last else len(window.messages)
    is_exact = window.digest(count) == last.digest if last is not None and last.digest else None
    return SeenWindow(window.system, window.tools, tuple(window.messages[:count]), tuple(window.seqs[:count]), is_exact)


def _listen(port: int | None) -> socket.socket:
    for wanted in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
            listener.listen()  # who opens the address at once waits until it is served
            return listener
        except OSError:
            listener.close()
    errors.fail(f"port {port} is in use. Choose another one: harness view --port N")
    return None
