"""One line about each event that a person should notice while a run is played."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.ui.format import estimate, standing
from runs.views.control import CONTROL_KINDS, control_text
from runs.views.format import duration_text, evaluation_text, model_text, money_text, printable, sandbox_text

if TYPE_CHECKING:
    from runs.events.registry import Event, RunCreated
    from runs.state import State


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
    return f"attempt {event.attempt or len(state.attempts)}{total} ({event.move}) starts from {origin}"


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
    return f"{text}. Best: {standing(state)}. Read it: harness show {name}. {_next_command(state, name)}"


def _next_command(state: State, name: str) -> str:
    """The command that fits the run: grade it, or submit it to the live competition."""
    if state.created and state.created.kaggle:
        return f"Submit it: harness submit {name}"
    if state.created and not state.created.has_answers:
        return f"Its result: {name}/submission.csv (the task has no private answers to grade it with)"
    return f"Grade it: harness score {name}"


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
    **dict.fromkeys(CONTROL_KINDS, lambda _, event: control_text(event)),
}
