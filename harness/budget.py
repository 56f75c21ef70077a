"""Budget: what a run may still spend, asked before each spend. Hours, dollars, attempts, turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from harness.settings import Settings
from runs.events.registry import PlanMade, RunCreated
from runs.state import State

MOST_HOURS = 10 * 365 * 24.0
"""More than anybody means; calendars end."""

Why = Literal["hours", "cost", "attempts", "turns", "unusable_replies"]


def kept_back_seconds(created: RunCreated, settings: Settings, plan: PlanMade | None = None) -> float:
    """Seconds at the end of a run that only its finale may use."""
    if created.hours is None:
        return 0.0
    if plan is not None:
        return plan.kept_back
    return min(settings.kept_back_seconds, created.hours * 3600 * settings.kept_back_share)


def seconds_left(created: RunCreated, active_seconds: float, settings: Settings, plan: PlanMade | None = None) -> float:
    """Seconds that attempts may still use; infinite where hours are not bounded."""
    return finale_seconds_left(created, active_seconds) - kept_back_seconds(created, settings, plan)


def finale_seconds_left(created: RunCreated, active_seconds: float) -> float:
    """Seconds until the run must have ended; infinite where hours are not bounded."""
    return float("inf") if created.hours is None else created.hours * 3600 - active_seconds


def deadline(created: RunCreated, active_seconds: float) -> datetime | None:
    """The moment the run ends if it is not interrupted, in UTC."""
    if created.hours is None:
        return None
    return datetime.now(UTC) + timedelta(seconds=max(0.0, min(MOST_HOURS, created.hours) * 3600 - active_seconds))


def stated_deadline(state: State, settings: Settings) -> str:
    """The deadline as the model reads it. From the record alone, so that it is the same text in every epoch."""
    created = state.created
    if created is None or created.hours is None:
        return "(no time limit)"
    when = datetime.fromisoformat(state.deadline or created.at)
    # What is kept back is not the model's: told the full time, it would plan a last hour it does not have.
    kept_back = kept_back_seconds(created, settings, state.plan)
    if state.deadline is None:
        when += timedelta(hours=min(MOST_HOURS, created.hours))
    return (when - timedelta(seconds=kept_back)).strftime("%Y-%m-%d %H:%M UTC")


def spent(state: State, active_seconds: float, settings: Settings) -> Why | None:
    """Which budget allows no further turn, if any."""
    created = state.created
    assert created is not None
    if seconds_left(created, active_seconds, settings, state.plan) <= 0:
        return "hours"
    if created.cost is not None and state.cost >= created.cost:
        return "cost"
    if created.turns is not None and state.turns >= created.turns:
        return "turns"
    if state.unusable_replies >= settings.unusable_replies:
        return "unusable_replies"
    return None


def run_over(state: State, active_seconds: float, settings: Settings) -> Why | None:
    """Why no further attempt starts, if so."""
    why = spent(state, active_seconds, settings)
    if why:
        return why
    created = state.created
    assert created is not None
    is_last_done = state.attempt is None and created.attempts is not None and len(state.attempts) >= created.attempts
    return "attempts" if is_last_done else None


def describe(created: RunCreated) -> str:
    """The budgets beside the deadline, as lines for the model."""
    lines = []
    if created.attempts is not None:
        lines.append(f"- At most {created.attempts} attempts.")
    if created.turns is not None:
        lines.append(f"- At most {created.turns} replies in all.")
    if created.cost is not None:
        lines.append(f"- At most ${created.cost:.2f} for your tokens.")
    return "\n".join(lines)
