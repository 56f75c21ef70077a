"""What a request does to a run: why it is refused, or the event that carries it out. The asker and the run both check,
since the run may have changed in between."""

from __future__ import annotations

from runs.control.requests import Continue, Extend, Pause, Request, Steer, Stop
from runs.events.registry import BudgetExtended, Event, PlayContinued, PlayPaused, Steered, StopAsked
from runs.state import State

BUDGETS = ("hours", "cost", "attempts", "turns")


def refusal(state: State, request: Request, *, is_live: bool) -> str:
    """Why a run cannot do what is asked; empty if it can.

    In a sandbox that does not isolate, the model's commands could write to the inbox of a live run: hints and budgets
    are not taken from it.
    """
    created = state.created
    if created is None:
        return "the run has not begun"
    if is_live and not created.protects_labels and isinstance(request, Steer | Extend):
        return (
            f"the sandbox of this run ({created.sandbox}) does not isolate, so only pause, resume and stop are taken "
            f"while it is played: stop it (harness stop --now {created.run_id}), then do this, then resume it"
        )
    if isinstance(request, Extend):
        return _extend_refusal(state, request)
    if state.ended:
        return f"the run has ended ({state.ended})"
    if isinstance(request, Pause) and state.control.is_paused:
        return "the run is paused already"
    if isinstance(request, Continue) and not state.control.is_paused:
        return "the run is being played and is not paused"
    if isinstance(request, Stop) and not request.now and state.control.is_stopping:
        return "the run is ending already"
    return _base_refusal(state, request.evaluation) if isinstance(request, Steer) and request.evaluation else ""


def event_of(state: State, request: Request, name: str) -> Event:
    """The event that carries out a request with the id `name`; the caller adds deadlines and times."""
    if isinstance(request, Steer):
        return Steered(request=name, hint=request.hint.strip(), evaluation=request.evaluation)
    if isinstance(request, Pause):
        return PlayPaused(request=name)
    if isinstance(request, Continue):
        return PlayContinued(request=name)
    if isinstance(request, Stop):
        return StopAsked(request=name, now=request.now)
    return _extended(state, request, name)


def _extended(state: State, request: Extend, name: str) -> BudgetExtended:
    assert state.created is not None
    limits = {budget: getattr(state.created.settings, budget) for budget in BUDGETS}
    return BudgetExtended(request=name, **{**limits, **{one: limits[one] + add for one, add in request.added.items()}})


def _extend_refusal(state: State, request: Extend) -> str:
    assert state.created is not None
    for name in request.added:
        if getattr(state.created.settings, name) is None:
            return f"the run has no limit of {name}"
    if state.ended == "unusable_replies":
        return "the run ended because the model gave no usable call: a larger budget does not help"
    if state.ended in BUDGETS and state.ended not in request.added:
        return f"the run ended by {state.ended}: extend that (--{state.ended})"
    return ""


def _base_refusal(state: State, evaluation: str) -> str:
    found = state.evaluations.get(evaluation)
    if found is None:
        known = ", ".join(list(state.evaluations)[-5:]) or "none"
        return f"there is no evaluation {evaluation} (the last ones: {known})"
    return "" if found.finished else f"evaluation {evaluation} has no result yet"
