"""Budget: what a run may still spend, asked before each spend. Hours, dollars, attempts, turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from runs.events.registry import PlanMade
from runs.run_settings import RunSettings
from runs.state import State

MAX_HOURS = 10 * 365 * 24.0
"""Larger than any real budget, and small enough for the calendar."""

Why = Literal["hours", "cost", "attempts", "turns", "stopped", "unusable_replies"]
_REPLIES_TO_TELL = 5
"""Replies after which a run without any call is taken for a fault of the endpoint."""


def kept_back_seconds(settings: RunSettings, plan: PlanMade | None = None) -> float:
    """Seconds at the end of a run that only the final selection may use."""
    if settings.hours is None:
        return 0.0
    if plan is not None:
        return plan.kept_back
    return min(settings.kept_back_seconds, settings.hours * 3600 * settings.kept_back_share)


def seconds_left(settings: RunSettings, active_seconds: float, plan: PlanMade | None = None) -> float:
    """Seconds that attempts may still use; infinite without a limit of hours."""
    return final_seconds_left(settings, active_seconds) - kept_back_seconds(settings, plan)


def final_seconds_left(settings: RunSettings, active_seconds: float) -> float:
    """Seconds until the run must have ended; infinite without a limit of hours."""
    return float("inf") if settings.hours is None else settings.hours * 3600 - active_seconds


def deadline(settings: RunSettings, active_seconds: float) -> datetime | None:
    """The moment (UTC) at which the run ends if it is not interrupted."""
    if settings.hours is None:
        return None
    return datetime.now(UTC) + timedelta(seconds=max(0.0, min(MAX_HOURS, settings.hours) * 3600 - active_seconds))


def stated_deadline(state: State) -> str:
    """The deadline as the model reads it. It depends on the record alone, so its text is the same in every epoch."""
    created = state.created
    if created is None or created.settings.hours is None:
        return "(no time limit)"
    when = datetime.fromisoformat(state.deadline or created.at)
    # The time kept back is not the model's: with the full time, it would plan a last hour that it does not have.
    kept_back = kept_back_seconds(created.settings, state.plan)
    if state.deadline is None:
        when += timedelta(hours=min(MAX_HOURS, created.settings.hours))
    return (when - timedelta(seconds=kept_back)).strftime("%Y-%m-%d %H:%M UTC")


def spent_budget(state: State, active_seconds: float) -> Why | None:
    """Which budget allows no further turn, if any."""
    settings = _settings(state)
    if state.control.is_stopping:
        return "stopped"
    if seconds_left(settings, active_seconds, state.plan) <= 0:
        return "hours"
    if settings.cost is not None and state.cost >= settings.cost:
        return "cost"
    if settings.turns is not None and state.turns >= settings.turns:
        return "turns"
    if state.unusable_replies >= settings.unusable_replies:
        return "unusable_replies"
    return None


def is_without_calls(state: State) -> bool:
    """Whether no reply held a call that could be executed, and there were enough to tell."""
    return _REPLIES_TO_TELL <= state.turns == state.unusable_replies


def no_attempt_reason(state: State, active_seconds: float) -> Why | None:
    """Why no further attempt may start, if so."""
    why = spent_budget(state, active_seconds)
    if why:
        return why
    attempts = _settings(state).attempts
    return "attempts" if attempts is not None and len(state.attempts) >= attempts else None


def describe(settings: RunSettings) -> str:
    """The budgets beside the deadline, as lines for the model."""
    lines = []
    if settings.attempts is not None:
        lines.append(f"- At most {settings.attempts} attempts.")
    if settings.turns is not None:
        lines.append(f"- At most {settings.turns} replies in all.")
    if settings.cost is not None:
        lines.append(f"- At most ${settings.cost:.2f} for your tokens.")
    return "\n".join(lines)


def _settings(state: State) -> RunSettings:
    assert state.created is not None
    return state.created.settings
