"""Drive a sweep on this host: the pool, what a person sees of it, and what happens when all runs are over."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from harness import errors
from harness.settings import Settings
from harness.sweep import lessons, table
from harness.sweep.play_row import Outcome, Worker
from harness.sweep.pool import Pool
from harness.sweep.row_state import Reader
from harness.sweep.store import Store
from harness.sweep.types import Plan, Row, levels_text
from runs.files import replace_file

if TYPE_CHECKING:
    from rich.live import Live

REDRAW_SECONDS, PAGE_SECONDS = 5.0, 60.0
"""A sweep takes days, so neither table nor page is made often."""


@dataclass
class Driver:
    """Plays a sweep with a pool on this host. `is_alone`: it also ends the sweep when all runs are over."""

    store: Store
    plan: Plan
    process: Settings
    jobs: int
    is_plain: bool
    is_alone: bool = True
    reader: Reader = field(init=False)
    _drawn_at: float = 0.0
    _paged_at: float = 0.0
    _live: Live | None = None
    _said: dict[str, str] = field(default_factory=dict)
    _print_lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.reader = Reader(self.store, self.plan)

    def drive(self) -> int:
        """Play until all runs are over for this host, or a stop; returns the exit code."""
        with ExitStack() as stack:
            if self.is_alone:
                stack.enter_context(only_driver(self.store))
                self.store.set_fact("driver", {"jobs": self.jobs})
            stack.enter_context(_terminating())
            worker = Worker(self.store, self.plan, self.process, on_start=self._start)
            pool = Pool(worker, self.jobs, self._end_of)
            if not self.is_plain:
                self._live = stack.enter_context(_live_table())
            try:
                pool.play(self._draw)
            finally:
                self._draw(is_last=True)
        return self._end(pool)

    def _end(self, pool: Pool) -> int:
        said = merge_if_over(self.store, self.plan) if self.is_alone else ""
        if said:
            print(said)
        return summarize(self.store, self.plan, self.reader, dict(pool.unfit))

    def _start(self, row: Row) -> None:
        self._say(row, "starts")

    def _end_of(self, row: Row, outcome: Outcome) -> None:
        kind = {"later": "waits", "stopped": "paused"}.get(outcome.kind, outcome.kind)
        self._say(row, f"{kind}: {outcome.reason}" if outcome.reason else kind)

    def _say(self, row: Row, text: str) -> None:
        """One line for each start and end, where there is no live table; a reason to wait is said once."""
        if self._live is not None or self._said.get(row.key) == text:
            return
        self._said[row.key] = text
        with self._print_lock, contextlib.suppress(OSError):  # nobody reads any more
            print(f"{row.task_id} seed {row.seed} {levels_text(row)}".strip() + f": {text}", flush=True)

    def _draw(self, is_last: bool = False) -> None:
        now = time.monotonic()
        if self._live is not None and (is_last or now - self._drawn_at > REDRAW_SECONDS):
            self._drawn_at = now
            most = max(5, self._live.console.height - 8)
            shown = table.as_rich(self.plan, self.reader.rows(), self.store, self.jobs, most)
            self._live.update(shown, refresh=True)
        if is_last or now - self._paged_at > PAGE_SECONDS:
            self._paged_at = now
            page = table.as_page(self.plan, self.reader.rows(), self.store, self.jobs)
            with contextlib.suppress(OSError):  # a full disk: the runs wait, and so does the page
                replace_file(self.store.folder / "status.html", page.encode())


@contextmanager
def only_driver(store: Store) -> Iterator[None]:
    """Be the one process that drives a sweep. Raises `UsageError` if another one does."""
    lock = FileLock(store.folder / "driver.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        errors.fail(
            f"another process drives the sweep {store.name}: follow it with `harness sweep status {store.name}`, or "
            f"stop it with `harness sweep stop {store.name}`"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _terminating() -> Iterator[None]:
    """Let TERM and HUP do what Ctrl-C does: pause all runs and end."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    hup = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, *hup)}
    try:
        yield
    except KeyboardInterrupt:
        errors.say("stopped: the runs are paused")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _live_table() -> Iterator[Live]:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield live


def merge_if_over(store: Store, plan: Plan, *, is_forced: bool = False) -> str:
    """Add what the runs showed to the ledger once all of them are over; says what was done, nothing if nothing was."""
    rows = Reader(store, plan).rows()
    if not plan.ledger or (not is_forced and any(one.state in ("waiting", "running") for one in rows)):
        return ""
    return lessons.merge_learned(store, plan, [one.row for one in rows if one.state == "done"])


def summarize(store: Store, plan: Plan, reader: Reader, unfit: dict[str, str]) -> int:
    """Print where the sweep stands; returns the exit code."""
    rows = reader.rows()
    print("\n".join(table.headline(plan, rows, store)))
    for one in rows:
        if one.state == "failed":
            print(f"{one.row.key} failed: {one.history.reason} ({store.output(one.row.key)})")
    for key, why in unfit.items():
        print(f"{key} waits: {why}")
    states = {one.state for one in rows}
    if states == {"done"}:
        print(f"all runs are done: harness sweep report {store.name}")
        return errors.DONE
    if "failed" in states:
        print(f"try the failed runs again: harness sweep resume {store.name} --retry-failed")
    if states & {"waiting", "running"}:
        print(f"continue: harness sweep resume {store.name}")
    sys.stdout.flush()
    return errors.SANDBOX if unfit else errors.STOPPED
