"""What each lane of a run does at this moment, in words, from the run's state alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runs.views.format import duration_text, fold_text, one_line

if TYPE_CHECKING:
    from runs.state import LaneState, State

COMMAND_WIDTH = 60


def lane_text(state: State, number: int) -> str:
    """What a lane does: `thinking 12 s; evaluating 001-1 on fold 4 of 5`."""
    if state.control.is_paused:
        return "paused"
    lane = state.lanes.get(number)
    if lane is None or lane.attempt is None:
        return "; ".join(_evaluations(state, number)) or "no attempt is open"
    evaluations = _evaluations(state, number)
    parts = [text for text in (_step(lane, is_evaluating=bool(evaluations)), *evaluations) if text]
    return "; ".join(parts) or "between two steps"


def final_selection_text(state: State) -> str:
    """What the final selection does; empty before it."""
    if state.ended or not state.decisions:
        return ""
    running = [f"{name} on {fold_text(fold, state)}" for name, fold in _open_folds(state)]
    if running:
        return f"final selection: running {', '.join(running)} again"
    step = list(state.decisions)[-1]
    return f"final selection: after the step {step!r}"


def _step(lane: LaneState, *, is_evaluating: bool) -> str:
    if lane.in_flight is not None:
        return f"thinking {_since(lane.in_flight.at)}"
    for pending in lane.pending.values():
        if pending.started is not None and not (is_evaluating and pending.call.name in ("evaluate", "wait")):
            command = _main_argument(pending.call.arguments)
            name = {"wait": "waiting for jobs"}.get(pending.call.name, pending.call.name)
            return f"{name}{f': {command}' if command else ''} {_since(pending.started.at)}"
    return ""


def _main_argument(arguments: str) -> str:
    """The command, path or query of a call, on one line."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return ""
    names = ("command", "path", "query", "job")
    found = next((str(values[name]) for name in names if isinstance(values, dict) and values.get(name)), "")
    return one_line(found, COMMAND_WIDTH)


def _evaluations(state: State, number: int) -> list[str]:
    """What is known of the evaluations of a lane that have no result."""
    running = [e for e in state.evaluations.values() if e.lane == number and not e.finished]
    texts = []
    for evaluation in running:
        folds = [name for name, fold in state.folds.items() if name[0] == evaluation.id]
        now = [fold_text(fold, state) for name, fold in _open_folds(state) if name == evaluation.id]
        where = " and ".join(now) if now else fold_text("", state) if state.plan and not folds else ""
        texts.append(f"evaluating {evaluation.id}{f' on {where}' if where else ''} {_since(evaluation.started.at)}")
    known = {evaluation.id for evaluation in running}
    others = [(name, fold) for name, fold in _open_folds(state) if name not in known]
    if running and others:  # the best is compared on the same folds
        texts += [f"running the best {name} on {fold_text(fold, state)}" for name, fold in others[:1]]
    return texts


def _open_folds(state: State) -> list[tuple[str, str]]:
    return [name for name, result in list(state.folds.items()) if result is None]


def _since(at: str) -> str:
    if not at:
        return ""
    return duration_text((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())
