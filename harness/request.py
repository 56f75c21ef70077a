"""Ask the model: the request is on record before it is sent, the reply before its first call starts."""

from __future__ import annotations

import math
import time

from harness import compact
from harness.endpoint.cost import cost_of, estimated
from harness.endpoint.errors import ContextOverflow, HistoryRejected, ModelError
from harness.endpoint.repair_history import repair_window
from harness.run import Run
from harness.tools import registry
from runs.events.registry import CacheAlarm, ModelAsked, ModelFailed, ModelReplied, Waited, Warned

FIRST_PATIENCE_SECONDS = 10.0
"""How long an endpoint that has never answered in this run is retried: a typing error must not cost a night."""


def ask(run: Run) -> None:
    """Send the window and record the reply. Raises `ModelError` when retries ran out; the run is resumable.

    A window that the endpoint refuses as too large is compacted, one whose history it rejects is repaired, and the next
    turn asks again.
    """
    run.stopping.check()
    window, request = run.window, run.state.requests + 1
    breach = window.breaks_prefix(run.state.last_asked)
    if breach:
        run.record(Warned(message=f"request {request} does not extend the one before it: the prompt cache is lost"))
    run.record(
        ModelAsked(
            request=request,
            messages=len(window.messages),
            size=window.size,
            digest=window.digest(),
            breach=breach,
            reused=window.reused(),
        )
    )

    def on_wait(error: str, seconds: float, cost: float) -> None:
        run.record(ModelFailed(request=request, error=error, again_in=round(seconds, 1), cost=cost))
        run.pulse(f"waiting {seconds:.0f} s for the endpoint: {error}")

    cap = run.settings.cost
    patience = run.settings.model_patience_seconds if run.state.turns else FIRST_PATIENCE_SECONDS
    try:
        reply = run.model.complete(
            window.system,
            window.tools,
            window.messages,
            on_wait=on_wait,
            on_again=lambda: run.record(Waited(on="the endpoint, asked again", request=request)),
            on_bytes=lambda size: run.tick(f"the model is answering, {size / 1000:.0f} kB so far"),
            wall_seconds=max(5.0, min(run.settings.model_call_seconds, run.seconds_left())),
            patience_seconds=max(1.0, min(patience, run.seconds_left())),
            may_spend=math.inf if cap is None else max(0.0, cap - run.state.cost),
        )
    except ModelError as error:
        run.record(ModelFailed(request=request, error=str(error), cost=error.cost))
        if isinstance(error, ContextOverflow) and len(window.messages) > 1:
            compact.overflow(run)
            return
        if cap is not None and run.state.cost >= cap:
            return  # the budget ends the attempt, as after any other spend
        if isinstance(error, HistoryRejected) and len(window.messages) > 1:
            repair_window(window, f"harness_repaired_{run.state.requests}", run.record)
            return
        raise
    run.record(
        ModelReplied(
            request=request,
            message=reply.message,
            calls=[registry.checked(call) for call in reply.calls],
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            cost=reply.cost,
            seconds=round(reply.seconds, 3),
            retries=reply.retries,
            raw=reply.raw,
        )
    )
    run.replied_at = time.monotonic()
    if (alarm := run.meter.alarm) is not None:
        run.record(CacheAlarm(provider=alarm.provider, local=alarm.local, calls=alarm.calls, message=alarm.message))


def settle(run: Run) -> None:
    """Record once what an interrupted request may cost; only its prompt is known."""
    asked = run.state.in_flight
    if asked is None:
        return
    cost = cost_of(estimated(asked.size, 0), run.model.profile.prices)
    error = "interrupted before its reply was recorded; its prompt may have to be paid (estimated)"
    run.record(ModelFailed(request=asked.request, error=error, cost=cost))
