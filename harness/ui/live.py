"""What a person sees during a run: a live panel in a terminal, plain lines elsewhere.

Both are read-only. A terminal that disappears stops neither the run nor changes its exit code.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from harness.ui.event_lines import introduction, line_of
from harness.ui.format import standing
from harness.ui.lane_status import final_selection_text, lane_text
from harness.ui.long_steps import FIRST_SECONDS
from harness.ui.panel import PanelContent
from runs.views.format import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from runs.events.registry import Event
    from runs.state import State

REDRAW_SECONDS = 0.25
CLOCK_SECONDS = 1.0
"""How often a thread redraws the panel while the run waits for a reply or a judge."""
STILL_ALIVE_SECONDS = 600.0
DETAIL_SECONDS = 3.0
"""How long the panel shows what a lane said it waits for."""


def open_screen(is_terminal: bool, plain: bool, out: TextIO | None = None) -> LivePanel | PlainLines:
    """The live panel for a terminal, plain lines otherwise or if requested."""
    if plain or not is_terminal:
        return PlainLines(out or sys.stdout)
    from rich.console import Console

    class PatientConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process, and with it the run

    return LivePanel(PatientConsole(file=out, force_terminal=True))


# ------------------------------------------------------------------------------------------------------ plain lines


class PlainLines:
    """One whole line per important event, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out: TextIO | None = out
        self._written_at = time.monotonic()
        self._finale = ""
        self.run_id = ""

    def show(self, state: State, event: Event) -> None:
        """Write the event's line, if it has one."""
        if state.created is not None and not self.run_id:
            self.run_id = state.created.run_id
            for line in introduction(state.created):
                self._write(line)
        line = line_of(state, event)
        if line:
            self._write(line)

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        """Report every ten minutes of a long wait that the run is alive, and each step of the final selection."""
        finale = final_selection_text(state)
        if finale and finale != self._finale and time.monotonic() - self._written_at >= FIRST_SECONDS:
            self._finale = finale
            self._write(finale)
        if time.monotonic() - self._written_at >= STILL_ALIVE_SECONDS:
            doing = doing or lane_text(state, lane)
            self._write(f"still running ({printable(doing)}), {standing(state)}")

    def say(self, line: str) -> None:
        """Write a line about something that is not an event, such as a long preparation."""
        self._write(printable(line))

    def close(self) -> None:
        """Plain lines hold nothing to release."""

    def _write(self, line: str) -> None:
        self._written_at = time.monotonic()
        if self._out is None:
            return
        try:
            print(f"{time.strftime('%H:%M:%S')}  {line}", file=self._out, flush=True)
        except (OSError, ValueError):  # the reader is gone; the run continues
            self._out = None


# -------------------------------------------------------------------------------------------------------- the panel


class LivePanel:
    """A panel at the bottom of the terminal, redrawn at most four times a second; event lines scroll above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._is_closed = False
        self._drawn_at = float("-inf")
        self._shown_at = time.monotonic()
        self._state: State | None = None
        self._details: dict[int, tuple[str, float]] = {}
        """What each lane said last that it waits for, and when."""
        self._tail = ""
        self._lock = threading.RLock()
        self._over = threading.Event()
        self.run_id = ""

    def show(self, state: State, event: Event) -> None:
        """Show an event: its line scrolls above the panel."""
        self._state = state
        self._shown_at = time.monotonic()
        if state.created is not None and not self.run_id:
            self.run_id = state.created.run_id
            for line in introduction(state.created):
                self._draw(line)
        self._draw(line_of(state, event))

    def alive(self, state: State, doing: str, tail: str, lane: int = 0) -> None:
        """Redraw during a wait, at most every `REDRAW_SECONDS`."""
        self._state, self._tail = state, tail or self._tail
        if doing:
            self._details[lane] = (doing, time.monotonic())
        if time.monotonic() - self._drawn_at >= REDRAW_SECONDS:
            self._draw("")

    def say(self, line: str) -> None:
        """Show a line about something that is not an event above the panel."""
        self._draw(printable(line))

    def close(self) -> None:
        """Draw a last time and release the terminal; a second call does nothing."""
        self._over.set()
        if self._live is not None and not self._is_closed:
            self._details, self._tail = {}, ""
            self._drawn_at = float("-inf")
            self._draw("")
            self._try(self._live.stop)
        self._is_closed = True

    def _keep_time(self) -> None:
        while not self._over.wait(CLOCK_SECONDS):
            self._draw("")

    def _draw(self, line: str) -> None:
        with self._lock:
            if self._is_closed:
                return
            live = self._live or self._start()
            if line:
                self._try(lambda: self._console.print(line, markup=False, highlight=False, soft_wrap=True))
            if self._state is None or time.monotonic() - self._drawn_at < REDRAW_SECONDS:
                return
            self._drawn_at = time.monotonic()
            state = self._state
            waited, now = time.monotonic() - self._shown_at, time.monotonic()
            details = {lane: text for lane, (text, at) in list(self._details.items()) if now - at < DETAIL_SECONDS}
            content = PanelContent(state, waited, details, self._tail)
            self._try(lambda: live.update(content.render(*self._console.size), refresh=True))

    def _start(self) -> Live:
        from rich.live import Live

        self._live = Live(console=self._console, auto_refresh=False)
        self._try(self._live.start)
        threading.Thread(target=self._keep_time, name="panel", daemon=True).start()
        return self._live

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):  # the terminal is gone; the run continues
            self._is_closed = True
