"""Ask the model: the request is on record before it is sent, the reply before its first call starts."""

from __future__ import annotations

import math
import time

from harness import budget, compact, fallback
from harness.endpoint.client import Reply
from harness.endpoint.cost import cost_of, estimated
from harness.endpoint.errors import ABOUT_REQUEST, ContextOverflow, EndpointRefused, HistoryRejected, ModelError
from harness.endpoint.model_families import parser_of
from harness.endpoint.repair_history import repair_window
from harness.request_slots import LIMITED
from harness.run import Lane, Run
from harness.tools import registry
from runs.events.registry import CacheAlarm, Call, LanesChanged, ModelAsked, ModelFailed, ModelReplied, Waited, Warned

FIRST_PATIENCE_SECONDS = 10.0
"""How long an endpoint that has never answered in this run is retried: a typing error must not cost a night."""


def ask(lane: Lane) -> None:
    """Send the window and record the reply. Raises `ModelError` when retries ran out; the run is resumable.

    A window that the endpoint refuses as too large is compacted, one whose history it rejects is repaired, and the next
    turn asks again.
    """
    run = lane.run
    run.step()
    with run.slots.take(lambda: run.lane_limit, lambda: run.pulse("waiting until the endpoint takes more requests")):
        if run.shared_slots is None:
            _ask(lane)
            return
        address, limit = lane.model.base_url, run.settings.requests_at_once
        with run.shared_slots.take(address, limit, lambda: run.pulse(f"waiting for one of {limit} requests at once")):
            _ask(lane)


def _ask(lane: Lane) -> None:
    request = _record_request(lane)
    if request is None:
        return
    try:
        reply = _complete(lane, request)
    except ModelError as error:
        if not _can_go_on(lane, request, error):
            raise
        return
    _warn_of_text_calls(lane, reply)
    _record_reply(lane, request, reply)


def _record_request(lane: Lane) -> int | None:
    """Record the request that is about to be sent; returns its number. None if the run was paused just now."""
    run, window = lane.run, lane.window
    with run.lock:  # the number of a request is unique in the run
        if run.state.control.is_paused:
            return None
        request = run.state.requests + 1
        breach = window.breaks_prefix(lane.state.last_asked)
        if breach:
            message = f"request {request} does not extend the one before it: the prompt cache is lost"
            lane.record(Warned(message=message))
        lane.record(
            ModelAsked(
                request=request,
                messages=len(window.messages),
                size=window.size,
                digest=window.digest(),
                breach=breach,
                reused=window.reused(),
            )
        )
        return request


def _complete(lane: Lane, request: int) -> Reply:
    """Send the window and wait for the reply, with the retries of the client. Raises `ModelError`."""
    run, window, settings = lane.run, lane.window, lane.run.settings

    def on_wait(error: str, seconds: float, cost: float) -> None:
        lane.record(ModelFailed(request=request, error=error, again_in=round(seconds, 1), cost=cost))
        if error.startswith("429") and run.slots.count_refusal():
            _take_a_lane_away(run)
        run.pulse(f"waiting {seconds:.0f} s for the endpoint: {error}")

    patience = settings.model_patience_seconds if run.state.turns else FIRST_PATIENCE_SECONDS
    patience = fallback.patience(lane, patience)
    return lane.model.complete(
        window.system,
        window.tools,
        window.messages,
        on_wait=on_wait,
        on_again=lambda: lane.record(Waited(on="the endpoint, asked again", request=request)),
        on_finding=lambda finding: lane.record(Warned(message=finding)),
        on_bytes=lambda size: run.tick(f"the model is answering, {size / 1000:.0f} kB so far"),
        wall_seconds=max(5.0, min(settings.model_call_seconds, run.seconds_left())),
        patience_seconds=max(1.0, min(patience, run.seconds_left())),
        asked_patience_seconds=max(1.0, min(settings.model_patience_seconds, run.seconds_left())),
        has_answered=run.state.turns > 0,
        may_spend=math.inf if settings.cost is None else max(0.0, settings.cost - run.state.cost),
    )


def _can_go_on(lane: Lane, request: int, error: ModelError) -> bool:
    """Record that a request failed, and change what the next turn sends or asks; False if nothing can be changed."""
    run, window = lane.run, lane.window
    is_refusal = isinstance(error, EndpointRefused) and error.status in ABOUT_REQUEST
    lane.record(ModelFailed(request=request, error=str(error), cost=error.cost, is_refusal=is_refusal))
    if isinstance(error, ContextOverflow) and len(window.messages) > 1:
        compact.overflow(lane)
        return True
    if run.settings.cost is not None and run.state.cost >= run.settings.cost:
        return True  # the budget ends the attempt, as after any other spend
    if isinstance(error, HistoryRejected) and len(window.messages) > 1:
        repair_window(window, f"harness_repaired_{request}", lane.record)
        return True
    return fallback.take_over(lane, error)


def _record_reply(lane: Lane, request: int, reply: Reply) -> None:
    lane.record(
        ModelReplied(
            request=request,
            message=reply.message,
            calls=[_without_lost_arguments(lane, registry.checked(call)) for call in reply.calls],
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            cost=reply.cost,
            seconds=round(reply.seconds, 3),
            retries=reply.retries,
            raw=reply.raw,
            dialect=reply.dialect,
            unread_dialect=reply.unread_dialect,
        )
    )
    lane.replied_at = time.monotonic()
    if (alarm := lane.meter.alarm) is not None:
        lane.record(CacheAlarm(provider=alarm.provider, local=alarm.local, calls=alarm.calls, message=alarm.message))


def _warn_of_text_calls(lane: Lane, reply: Reply) -> None:
    """Tell people once per syntax that calls arrive as text: a parser of the server would read them better."""
    dialect = reply.dialect or reply.unread_dialect
    if not dialect or dialect in lane.run.state.text_dialects:
        return
    read = "were read from it" if reply.dialect else "could not be read"
    parser = parser_of(dialect)
    advice = f": start it with --tool-call-parser {parser} (vLLM, SGLang)" if parser else ""
    message = f"the server left tool calls in the text, in the syntax {dialect}; they {read}. Its parser should{advice}"
    lane.record(Warned(message=message))


def warn_of_no_calls(run: Run) -> None:
    """Tell people at the end of a run why no reply held a call that could be executed, if so."""
    state = run.state
    if state.ended or not budget.is_without_calls(state):
        return
    parsers = " or ".join(parser for dialect in sorted(state.text_dialects) if (parser := parser_of(dialect)))
    advice = (
        f"their text has marks of calls: start the server with --tool-call-parser {parsers} (vLLM, SGLang)"
        if parsers
        else "the model may not be given the tools, or its server may lose the calls: check with `harness doctor`"
    )
    run.record(Warned(message=f"none of the {state.turns} replies held a tool call that could be executed; {advice}"))


def _without_lost_arguments(lane: Lane, call: Call) -> Call:
    """Refuse an empty `finish` once if no call of this run has arrived with arguments: a parser of the wrong family
    keeps the name and loses the arguments, and `finish` would end the attempt."""
    is_suspect = call.name == "finish" and call.is_empty and not call.is_text and not call.problem
    if not is_suspect or lane.run.state.has_arguments or lane.state.has_refused_finish:
        return call
    lane.record(Warned(message="`finish` arrived without arguments, as every call so far: check --tool-call-parser"))
    problem = (
        "Not executed: `finish` arrived without arguments, and so did every call so far, so the server may have lost "
        "them. Call `finish` again; it is then accepted with or without arguments."
    )
    return call.model_copy(update={"problem": problem})


def _take_a_lane_away(run: Run) -> None:
    with run.lock:
        if run.lane_limit > 1:
            why = f"the endpoint refused {LIMITED} requests as too many (429)"
            run.record(LanesChanged(parallel=run.lane_limit - 1, refused=run.lanes_refused + 1, why=why))


def settle(lane: Lane) -> None:
    """Record once what an interrupted request may cost; only its prompt is known."""
    asked = lane.state.in_flight
    if asked is None:
        return
    cost = cost_of(estimated(asked.size, 0), lane.model.profile.prices)
    error = "interrupted before its reply was recorded; its prompt may have to be paid (estimated)"
    lane.record(ModelFailed(request=asked.request, error=error, cost=cost))
