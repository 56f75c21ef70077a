"""What a person sees during a run: a live panel in a terminal, plain lines elsewhere.

Both are read-only. A terminal that disappears stops neither the run nor changes its exit code.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from harness.ui.format import estimate, standing
from runs.views.format import duration_text, evaluation_text, model_text, money_text, printable, sandbox_text

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

    from runs.events.registry import Event, RunCreated
    from runs.state import Attempt, State

REDRAW_SECONDS = 0.25
CLOCK_SECONDS = 1.0
"""How often a thread redraws the panel while the run waits for a reply or a judge."""
STILL_ALIVE_SECONDS = 600.0
TAIL_LINES = 6


def open_screen(is_terminal: bool, plain: bool, out: TextIO | None = None) -> LivePanel | PlainLines:
    """The live panel for a terminal, plain lines otherwise or if requested."""
    if plain or not is_terminal:
        return PlainLines(out or sys.stdout)
    from rich.console import Console

    class PatientConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process, and with it the run

    return LivePanel(PatientConsole(file=out, force_terminal=True))


# --------------------------------------------------------------------------------------------- one line per event


def line_of(state: State, event: Event) -> str:
    """One line about an event that `state` has already applied; empty for events that need none."""
    render = _RENDERERS.get(getattr(event, "kind", ""))
    return printable(render(state, event)).replace("\n", " ") if render else ""


def marks(created: RunCreated) -> list[str]:
    """Model and sandbox, with the warnings that belong beside every result of this run."""
    return [f"model {model_text(created)}", f"sandbox {sandbox_text(created)}"]


def introduction(created: RunCreated) -> list[str]:
    """The first lines of a new or resumed run: what runs, its budget, and how it is isolated."""
    limits = [f"{created.settings.hours:g} h"] if created.settings.hours else []
    limits += [money_text(created.settings.cost)] if created.settings.cost else []
    limits += [f"{created.settings.attempts} attempts"] if created.settings.attempts else []
    limits += [f"{created.settings.turns} turns"] if created.settings.turns else []
    budget = f"budget {', '.join(limits) or 'none'}"
    facts = [f"task {created.task_id}", *marks(created), f"seed {created.settings.seed}", budget]
    lines = [f"run {created.run_id}: {', '.join(facts)}", created.notice]
    return [printable(line).replace("\n", " ") for line in lines if line]


def _resumed(state: State, event: Any) -> str:
    torn = "; dropped an incomplete last line of the journal" if event.torn else ""
    return f"resumed at attempt {len(state.attempts)}, turn {state.turns}{torn}: {standing(state)}"


def _attempt_started(state: State, event: Any) -> str:
    origin = f"commit {event.parents[0][:10]}" if event.parents else "an empty workspace"
    total = f" of {state.created.settings.attempts}" if state.created and state.created.settings.attempts else ""
    return f"attempt {event.attempt or len(state.attempts)}{total} starts from {origin}"


def _attempt_ended(state: State, event: Any) -> str:
    did = f": {event.did}" if event.did else ""
    return f"attempt {event.attempt or len(state.attempts)} ended ({event.why}){did}"


def _evaluated(state: State, event: Any) -> str:
    name = f"attempt {event.attempt or len(state.attempts)}, evaluation {event.evaluation}"
    if event.status != "scored":
        return f"{name}: {event.status}" + (f": {event.message}" if event.message else "")
    evaluation = state.evaluations[event.evaluation]
    facts = [evaluation_text(evaluation, state), estimate(evaluation, state)]
    if state.best is not None and state.best.id == event.evaluation:
        facts.append("best so far")
    return f"{name}: {', '.join(facts)}"


def _model_failed(_: State, event: Any) -> str:
    retry = "" if event.again_in is None else f"; next try in {duration_text(event.again_in)}"
    return f"the endpoint failed: {event.error}{retry}"


def _run_name(state: State) -> str:
    return state.created.run_id if state.created else "last"


def _paused(state: State, event: Any) -> str:
    return f"paused: {event.why}. Continue with: harness resume {_run_name(state)}"


def _ended(state: State, event: Any) -> str:
    spend = money_text(state.cost, state.is_cost_estimated, state.is_cost_known)
    count = len(state.attempts)
    attempts = f"{count} attempt{'' if count == 1 else 's'}"
    text = f"ended ({event.why}) after {attempts}, {duration_text(state.active_seconds)}, {spend}"
    if state.chosen is not None and state.chosen.evaluation == "final":
        text += f". Submission: {state.chosen.why}"
    name = _run_name(state)
    return f"{text}. Best: {standing(state)}. Read it: harness show {name}. Grade it: harness score {name}"


_RENDERERS: dict[str, Callable[[State, Any], str]] = {
    "resumed": _resumed,
    "attempt_started": _attempt_started,
    "attempt_ended": _attempt_ended,
    "evaluation_finished": _evaluated,
    "model_failed": _model_failed,
    "lanes_changed": lambda _, event: f"attempts at once from now on: {event.parallel} ({event.why})",
    "warned": lambda _, event: f"warning: {event.message}",
    "paused": _paused,
    "run_ended": _ended,
}


# ------------------------------------------------------------------------------------------------------ plain lines


class PlainLines:
    """One whole line per important event, for logs and pipes."""

    def __init__(self, out: TextIO) -> None:
        self._out: TextIO | None = out
        self._written_at = time.monotonic()
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
        """Report during a long wait that the run is alive, every ten minutes."""
        if time.monotonic() - self._written_at >= STILL_ALIVE_SECONDS:
            self._write(f"still running ({printable(doing)}), {standing(state)}")

    def say(self, line: str) -> None:
        """Write a line about something that is no event, such as a long preparation."""
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
        self._doing = ""
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
        kind = getattr(event, "kind", "")
        self._doing = "waiting for the model" if kind == "model_asked" else self._doing
        self._draw(line_of(state, event))

    def alive(self, state: State, doing: str, tail: str) -> None:
        """Redraw during a wait, at most every `REDRAW_SECONDS`."""
        if time.monotonic() - self._drawn_at < REDRAW_SECONDS:
            return
        self._state, self._doing, self._tail = state, doing, tail
        self._draw("")

    def say(self, line: str) -> None:
        """Show a line about something that is no event above the panel."""
        self._draw(printable(line))

    def close(self) -> None:
        """Draw a last time and release the terminal; a second call does nothing."""
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
            self._try(lambda: live.update(self._render(state), refresh=True))

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
    attempts = f"{len(state.attempts)}" + (f" of {created.settings.attempts}" if created.settings.attempts else "")
    turns = ", ".join(_turn_text(attempt, state) for attempt in state.open_attempts) or "turn 0"
    total = f" of {created.settings.turns}" if created.settings.turns else ""
    turns += f" (of the run: {state.turns}{total})"
    spend = money_text(state.cost, state.is_cost_estimated, state.is_cost_known)
    spend += f" of {money_text(created.settings.cost)}" if created.settings.cost else ""
    tokens = f"{state.prompt_tokens + state.completion_tokens:,} tokens"
    return [
        ("time", _time_text(created, state.active_seconds + waited)),
        ("attempt", f"{attempts}, {turns}"),
        ("best", standing(state)),
        ("spend", f"{spend}, {tokens}"),
        ("run", created.run_id + (f" (paused: {state.paused})" if state.paused else "")),
    ]


def _turn_text(attempt: Attempt, state: State) -> str:
    number = f"attempt {attempt.number}: " if len(state.open_attempts) > 1 else ""
    return f"{number}turn {attempt.turns}"


def _time_text(created: RunCreated, active_seconds: float) -> str:
    used = f"{duration_text(active_seconds)} so far"
    if created.settings.hours is None:
        return used
    left = max(0.0, created.settings.hours * 3600 - active_seconds)
    until = time.strftime("%H:%M", time.localtime(time.time() + left))
    return f"{duration_text(left)} left, until {until}; {used}"
