"""How live control is written: the mark of a steered run, and a line for each event of it."""

from __future__ import annotations

from runs.events.registry import (
    BudgetExtended,
    Event,
    PlayContinued,
    PlayPaused,
    RequestRefused,
    RunForked,
    Steered,
    StopAsked,
)
from runs.state import State
from runs.views.format import duration_text, one_line

STEERED = "steered by a person"
"""The mark of a run to which a person gave a hint, or for which one chose where an attempt starts."""

CONTROL = (Steered, PlayPaused, PlayContinued, StopAsked, BudgetExtended, RequestRefused, RunForked)
CONTROL_KINDS = (
    "steered",
    "play_paused",
    "play_continued",
    "stop_asked",
    "budget_extended",
    "request_refused",
    "run_forked",
)


def steered_text(state: State) -> str:
    """The mark with what was done; empty for a run that nobody steered."""
    steered = state.control.steered
    if not steered:
        return ""
    hints, bases = sum(bool(one.hint) for one in steered), sum(bool(one.evaluation) for one in steered)
    parts = [f"{hints} hint{'s' * (hints > 1)}"] if hints else []
    parts += [f"the start of {bases} attempt{'s' * (bases > 1)}"] if bases else []
    return f"{STEERED} ({' and '.join(parts)})"


def control_text(event: Event) -> str:
    """One line about a person's request and its outcome; empty for other events."""
    if isinstance(event, Steered):
        parts = [f"hint: {one_line(event.hint)}"] if event.hint else []
        parts += [f"the next attempt starts from evaluation {event.evaluation}"] if event.evaluation else []
        return f"{STEERED}: {'; '.join(parts)}"
    if isinstance(event, PlayPaused):
        return "paused by a person: the clock stands still"
    if isinstance(event, PlayContinued):
        return f"continued after a pause of {duration_text(event.seconds)}"
    if isinstance(event, StopAsked):
        return "a person stops the run now" if event.now else "a person ends the run: the final selection follows"
    if isinstance(event, BudgetExtended):
        return f"a person extended the budget to {_budget_text(event)}"
    if isinstance(event, RunForked):
        limits = _budget_text(event)
        own = own_settings_text(event)
        text = f"{forked_text(event)}{f'; limits with what was spent before: {limits}' if limits else ''}"
        return f"{text}{f'; {own}' if own else ''}"
    if isinstance(event, RequestRefused):
        return f"a request in the inbox was refused: {one_line(event.why, 300)}"
    return ""


def forked_text(event: RunForked) -> str:
    """The origin of a forked run."""
    return f"forked from run {event.origin} at event {event.event}"


def own_settings_text(event: RunForked) -> str:
    """The settings that a fork has of its own; empty if none. A command may hold an address with a secret."""
    shown = (name if name == "on_event" else f"{name}={value}" for name, value in event.settings.items())
    return f"its own settings: {one_line(', '.join(shown), 400)}" if event.settings else ""


def _budget_text(event: BudgetExtended | RunForked) -> str:
    parts = [f"{event.hours:g} h"] if event.hours else []
    parts += [f"${event.cost:.2f}"] if event.cost else []
    parts += [f"{event.attempts} attempts"] if event.attempts else []
    parts += [f"{event.turns} turns"] if event.turns else []
    return ", ".join(parts)
