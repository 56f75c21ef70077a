"""How much time an attempt has."""

from __future__ import annotations

from runs.run_settings import RunSettings
from runs.state import State

ATTEMPTS_IN_A_RUN = 20
LEAST_SECONDS = 20 * 60.0
LEAST_EVALUATIONS = 4
LARGEST_SHARE = 1 / 6
OVERTIME = 1.5
"""An attempt is ended when it has used its time this many times."""


def attempt_seconds(settings: RunSettings, state: State) -> float:
    """Seconds that an attempt has: `attempt_hours`, or a twentieth of the run, but enough for some evaluations.

    At least 20 minutes and 4 uncached evaluations of the best solution, at most a sixth of the run; infinite where
    neither hours nor `attempt_hours` are set.
    """
    if settings.attempt_hours is not None:
        return settings.attempt_hours * 3600
    if settings.hours is None:
        return float("inf")
    run = settings.hours * 3600
    least = max(LEAST_SECONDS, LEAST_EVALUATIONS * evaluation_seconds(state))
    return min(LARGEST_SHARE * run, max(run / ATTEMPTS_IN_A_RUN, least))


def evaluation_seconds(state: State) -> float:
    """How long an evaluation takes without the cache: the best solution's time, else that of the last valid one."""
    done = [e for e in state.evaluations.values() if e.status in ("scored", "unscored")]
    last = state.best or (done[-1] if done else None)
    return last.result.seconds if last is not None else 0.0
