"""The fallback endpoint: it takes over when the run's own has failed for long; every lane follows at its next turn."""

from __future__ import annotations

from harness.endpoint.errors import EndpointRefused, EndpointUnreachable, ModelError
from harness.run import Lane
from runs.events.registry import Warned


def patience(lane: Lane, seconds: float) -> float:
    """How long a failing endpoint is asked again: less where a fallback waits."""
    settings = lane.run.settings
    has_fallback = bool(settings.fallback) and settings.endpoint != settings.fallback
    return min(seconds, settings.fallback_seconds) if has_fallback and lane.run.state.turns else seconds


def take_over(lane: Lane, error: ModelError) -> bool:
    """Change the run to its fallback after this error; whether there is one that answers."""
    run = lane.run
    if not isinstance(error, (EndpointUnreachable, EndpointRefused)) or not run.state.turns or run.endpoints is None:
        return False
    if not is_current(lane):
        return True  # another lane was first
    try:
        change = run.endpoints.fall_back(run.created, f"{run.settings.base_url} failed: {error}")
    except ModelError as second:
        lane.record(Warned(message=f"the fallback cannot take over: {second}"))
        return False
    if change is None:
        return False
    with run.lock:
        if is_current(lane):
            run.record(change)
    return True


def reconnect(lane: Lane) -> bool:
    """Connect the lane to the endpoint that the run uses now; whether it used another one."""
    if is_current(lane) or lane.run.endpoints is None:
        return False
    lane.model.close()
    lane.model = lane.run.endpoints.open(lane.run.created)
    return True


def is_current(lane: Lane) -> bool:
    """Whether the lane asks the endpoint that the run uses now."""
    settings, model = lane.run.settings, lane.model
    return lane.run.created.is_demo or (model.profile.model, model.base_url) == (settings.model, settings.base_url)
