"""The best evaluation and the runner-up of another branch: once per plateau the model is asked what sets them apart."""

from __future__ import annotations

from harness.search.from_run import values_of
from runs.branches import branches_of, is_result
from runs.state import State


def leaders(state: State) -> tuple[str, str] | None:
    """The run's best and the best result of any other branch; None if there is no other."""
    best, branches, values = state.best, branches_of(state), values_of(state)
    if best is None or best.score is None:
        return None
    others = [
        one.id
        for one in state.evaluations.values()
        if is_result(one) and one.score is not None and branches.get(one.attempt) != branches.get(best.attempt)
    ]
    return (best.id, max(others, key=lambda name: values[name])) if others else None


def were_compared(state: State) -> bool:
    """Whether an attempt since the last new best was asked to compare them."""
    since = state.best.ended_active if state.best else 0.0
    return any(attempt.compared for attempt in state.attempts if attempt.began_active >= since)
