"""What a person sees while a run is played: a live panel in a terminal, plain lines elsewhere.

Both only look. A terminal that goes away takes neither the run nor its exit code with it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from harness.ui.format import estimate, printable, standing
from runs.views.format import duration_text, evaluation_text, model_text, money_text, sandbox_text

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

    from runs.events.registry import Event, RunCreated
    from runs.state import State

REDRAW_SECONDS = 0.25
CLOCK_SECONDS = 1.0
"""How often the panel is redrawn by itself: whoever waits for a reply or a judge cannot see to it."""
STILL_ALIVE_SECONDS = 600.0
TAIL_LINES = 6


def open_screen(is_terminal: bool, plain: bool, out: TextIO | None = None) -> LivePanel | PlainLines:
    """The live panel where somebody can watch it, plain lines otherwise or where they were asked for."""
    if plain or not is_terminal:
        return PlainLines(out or sys.stdout)
    from rich.console import Console

    class PatientConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process here, and the run with it

    return LivePanel(PatientConsole(file=out, force_terminal=True))


# --------------------------------------------------------------------------------------------- one line per event


def line_of(state: State, event: Event) -> str:
    """What happened, in one line, after `state` has taken it into account; empty where it is not worth one."""
    teller = _TELLERS.get(getattr(event, "kind", ""))
    return printable(teller(state, event)).replace("\n", " ") if teller else ""


def marks(created: RunCreated) -> list[str]:
    """What must stand beside everything this run achieves."""
    return [f"model {model_text(created)}", f"sandbox {sandbox_text(created)}"]


def introduction(created: RunCreated) -> list[str]:
    """The lines that begin every playing of a run, new or resumed: what runs, within what, and how it is isolated."""
    bounds = [f"{created.hours:g} h"] if created.hours else []
    bounds += [money_text(created.cost)] if created.cost else []
    bounds += [f"{created.attempts} attempts"] if created.attempts else []
    bounds += [f"{created.turns} turns"] if created.turns else []
    told = [f"task {created.task_id}", *marks(created), f"seed {created.seed}", f"budget {', '.join(bounds) or 'none'}"]
    lines = [f"run {created.run_id}: {', '.join(told)}", str(created.options.get("notice", ""))]
    return [printable(line).replace("\n", " ") for line in lines if line]


def _resumed(state: State, event: Any) -> str:
    torn = "; a torn last line was dropped" if event.torn else ""
    return f"resumed at attempt {len(state.attempts)}, turn {state.turns}{torn}: {standing(state)}"


def _attempt_started(state: State, event: Any) -> str:
    origin = f"commit {event.parent[:10]}" if event.parent else "an empty workspace"
    total = f" of {state.created.attempts}" if state.created and state.created.attempts else ""
    return f"attempt {len(state.attempts)}{total} starts from {origin}"


def _attempt_ended(state: State, event: Any) -> str:
    did = f": {event.did}" if event.did else ""
    return f"attempt {len(state.attempts)} ended ({event.why}){did}"


def _evaluated(state: State, event: Any) -> str:
    name = f"attempt {event.attempt or len(state.attempts)}, evaluation {event.evaluation}"
    if event.status != "scored":
        return f"{name}: {event.status}" + (f": {event.message}" if event.message else "")
    told = [evaluation_text(state.evaluations[event.evaluation], state), estimate(event.score, state)]
    if state.best is not None and state.best.id == event.evaluation:
        told.append("best so far")
    return f"{name}: {', '.join(told)}"


def _model_failed(_: State, event: Any) -> str:
    again = "" if event.again_in is None else f"; asking again in {duration_text(event.again_in)}"
    return f"the endpoint failed: {event.error}{again}"


def _paused(state: State, event: Any) -> str:
    name = state.created.run_id if state.created else "last"
    return f"paused: {event.why}. Go on with: harness resume {name}"


def _ended(state: State, event: Any) -> str:
    name = state.created.run_id if state.created else "last"
    spend = money_text(state.cost, state.is_cost_estimated)
    told = f"ended ({event.why}) after {len(state.attempts)} attempts, {duration_text(state.active_seconds)}, {spend}"
    made = state.chosen is not None and state.chosen.evaluation == "final"
    told += f". Handed in: {state.chosen.why}" if made and state.chosen else ""
    return f"{told}. Best: {standing(state)}. Read it: harness show {name}. Grade it: harness score {name}"


_TELLERS: dict[str, Callable[[State, Any], str]] = {
    "resumed": _resumed,
    "attempt_started": _attempt_started,
    "attempt_ended": _attempt_ended,
    "evaluation_finished": _evaluated,
    "model_failed": _model_failed,
    "warned": lambda _, event: f"warning: {event.message}",
    "paused": _paused,
    "run_ended": _ended,
}


# ------------------------------------------------------------------------------------------------------ plain lines


class PlainLines:
    """One line per event that matters, whole, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out: TextIO | None = out
        self._spoke = time.monotonic()
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

    def alive(self, state: State, doing: str, tail: str) -> None:
        """Say now and then that a long wait is no death."""
        if time.monotonic() - self._spoke >= STILL_ALIVE_SECONDS:
            self._write(f"still at it ({printable(doing)}), {standing(state)}")

    def close(self) -> None:
        """Nothing to give back."""

    def _write(self, line: str) -> None:
        self._spoke = time.monotonic()
        if self._out is None:
            return
        try:
            print(f"{time.strftime('%H:%M:%S')}  {line}", file=self._out, flush=True)
        except (OSError, ValueError):  # the reader has gone; the run has not
            self._out = None


# -------------------------------------------------------------------------------------------------------- the panel


class LivePanel:
    """A panel at the foot of the terminal, redrawn at most four times a second; what happened scrolls above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._is_closed = False
        self._drawn_at = float("-inf")
        self._shown_at = time.monotonic()
        self._state: State | None = None
        self._doing = ""
        self._tail = ""
        self._turn = threading.RLock()
        self._over = threading.Event()
        self.run_id = ""

    def show(self, state: State, event: Event) -> None:
        """Take an event in; its line scrolls above the panel."""
        self._state = state
        self._shown_at = time.monotonic()
        if state.created is not None and not self.run_id:
            self.run_id = state.created.run_id
            for line in introduction(state.created):
                self._draw(line)
        kind = getattr(event, "kind", "")
        self._doing = "waiting for the model" if kind == "model_asked" else self._doing
        self._draw(line_of(state, event))

    def alive(self, state: State, doing: str, tail: str) -> None:
        """Redraw during a wait, if it is time to."""
        if time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._state, self._doing, self._tail = state, doing, tail
        self._draw("")

    def close(self) -> None:
        """Draw a last time and give the terminal back; a second call does nothing."""
        self._over.set()
        if self._live is not None and not self._is_closed:
            self._doing = self._tail = ""
            self._drawn_at = float("-inf")
            self._draw("")
            self._try(self._live.stop)
        self._is_closed = True

    def _keep_time(self) -> None:
        while not self._over.wait(CLOCK_SECONDS):
            self._draw("")

    def _draw(self, line: str) -> None:
        with self._turn:
            self._draw_alone(line)

    def _draw_alone(self, line: str) -> None:
        if self._is_closed:
            return
        if self._live is None:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False)
            self._try(self._live.start)
            threading.Thread(target=self._keep_time, name="panel", daemon=True).start()
        live = self._live
        if line:
            self._try(lambda: self._console.print(line, markup=False, highlight=False, soft_wrap=True))
        if self._state is None or time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = time.monotonic()
        state = self._state
        self._try(lambda: live.update(self._render(state), refresh=True))

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):  # the terminal has gone; the run has not
            self._is_closed = True

    def _render(self, state: State) -> Group:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        waited = time.monotonic() - self._shown_at
        for name, value in rows_of(state, waited):
            grid.add_row(name, Text(value))
        if self._doing:
            grid.add_row("doing", Text(printable(self._doing)))
        tail = [line for line in printable(self._tail[-8000:]).split("\n") if line.strip()][-TAIL_LINES:]
        lines = (Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in tail)
        created = state.created
        title = Text(f" {created.task_id} · {' · '.join(marks(created))} " if created else " harness ")
        return Group(Panel(Group(grid, *lines), title=title, title_align="left"))


def rows_of(state: State, waited: float = 0.0) -> list[tuple[str, str]]:
    """The panel's rows, name and value; `waited` are the seconds since the last event."""
    created = state.created
    if created is None:
        return []
    active = state.active_seconds + waited
    left = f"{duration_text(active)} so far"
    if created.hours is not None:
        seconds = max(0.0, created.hours * 3600 - active)
        until = time.strftime("%H:%M", time.localtime(time.time() + seconds))
        left = f"{duration_text(seconds)} left, until {until}; {left}"
    attempts = f"{len(state.attempts)}" + (f" of {created.attempts}" if created.attempts else "")
    turn = state.attempt.turns if state.attempt else 0
    turns = f"turn {turn} (of the run: {state.turns}" + (f" of {created.turns})" if created.turns else ")")
    spend = money_text(state.cost, state.is_cost_estimated)
    spend += f" of {money_text(created.cost)}" if created.cost else ""
    tokens = f"{state.prompt_tokens + state.completion_tokens:,} tokens"
    return [
        ("time", left),
        ("attempt", f"{attempts}, {turns}"),
        ("best", standing(state)),
        ("spend", f"{spend}, {tokens}"),
        ("run", created.run_id + (f" (paused: {state.paused})" if state.paused else "")),
    ]
