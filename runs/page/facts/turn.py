"""One turn in full: thinking, text, calls with what the model read of their results, and what came in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runs.events.registry import Call, Event, JobFinished, ModelReplied, ToolFinished, ToolStarted
from runs.page.facts.jobs import use_of
from runs.page.facts.rows import row_of
from runs.page.facts.run_view import RunView
from runs.usage.job_use import use_texts
from runs.views.format import duration_text, money_text, one_line, printable_lines
from runs.views.messages import arguments_text, split_thinking

WHOLE_CHARACTERS = 200_000
"""Longer texts are cut here; the rest has a page of its own."""
LONG_LINES = 26


@dataclass(frozen=True)
class Block:
    """A text as it is shown. `left` counts the characters that are not shown; `seq` and `field` say where it stands."""

    text: str
    seq: int
    field: str
    size: int = 0
    left: int = 0

    @property
    def is_long(self) -> bool:
        """Whether it is higher than its box."""
        return self.text.count("\n") > LONG_LINES or len(self.text) > 3_000


def block(text: str, seq: int, field: str) -> Block:
    """A text for the page: without control sequences, cut where it is very long."""
    shown = printable_lines(text[:WHOLE_CHARACTERS])
    return Block(shown, seq, field, len(text), max(0, len(text) - WHOLE_CHARACTERS))


def turn_facts(view: RunView, number: int) -> dict[str, Any]:
    """The facts of a turn. Raises `JournalError` if there is none with this number."""
    with view.lock:
        events = view.events_of_turn(number)
        row = view.turn_row(number)
        reply = events[0]
        assert isinstance(reply, ModelReplied)
        text, thinking = split_thinking(reply.message)
        attempts = view.state.attempts
        return {
            "number": number,
            "attempt": row.attempt,
            "lane": row.lane,
            "move": attempts[row.attempt - 1].move if 0 < row.attempt <= len(attempts) else "",
            "facts": _facts(reply, row.hours, view),
            "thinking": block(thinking.strip(), reply.seq, "thinking"),
            "text": block(text.strip(), reply.seq, "text"),
            "parts": _parts(reply, events, view),
        }


def _facts(reply: ModelReplied, hours: float, view: RunView) -> list[str]:
    usage = reply.usage
    cached = f"{usage.cached / usage.prompt:.0%} cached" if usage.prompt else "0 % cached"
    facts = [
        f"{duration_text(hours * 3600)} into the run",
        f"{usage.prompt:,} tokens in ({cached}), {usage.completion:,} out",
        duration_text(reply.seconds),
        money_text(reply.cost, usage.estimated, view.state.is_cost_known),
        f"finish reason {reply.finish_reason}" if reply.finish_reason not in ("", "stop", "tool_calls") else "",
        f"{reply.retries} retries" if reply.retries else "",
        f"calls read as {reply.dialect}" if reply.dialect else "",
        f"event {reply.seq}",
    ]
    return [fact for fact in facts if fact]


def _parts(reply: ModelReplied, events: list[Event], view: RunView) -> list[dict[str, Any]]:
    """Calls in their order, then marks, in the order of the journal."""
    results = {event.call: event for event in events if isinstance(event, ToolFinished)}
    started = {event.call: event for event in events if isinstance(event, ToolStarted)}
    jobs = {event.job: event for event in events if isinstance(event, JobFinished)}
    items = [_call(call, reply, results.get(call.id), started.get(call.id), jobs) for call in reply.calls]
    for event in events[1:]:
        row = row_of(event, view.state, 0.0)
        if row is not None and not row.turn:
            text = printable_lines(getattr(event, "text", "") or getattr(event, "message", "") or "")
            items.append({"kind": "mark", "seq": event.seq, "text": f"{row.text}{_rest(text, row.text)}"})
    return items


def _rest(text: str, shown: str) -> str:
    return f"\n{text[:4_000]}" if text and one_line(text) not in shown else ""


def _call(
    call: Call,
    reply: ModelReplied,
    result: ToolFinished | None,
    started: ToolStarted | None,
    jobs: dict[str, JobFinished],
) -> dict[str, Any]:
    job = jobs.get(started.job) if started and started.job else None
    use = "".join(f", {text}" for text in use_texts(use_of(job))) if job else ""
    code = f", exit code {job.exit_code}" if job and job.exit_code is not None else ""
    return {
        "kind": "call",
        "seq": result.seq if result else reply.seq,
        "name": call.name,
        "time": f"{duration_text(job.seconds)}{use}, {job.ended}{code}" if job else "",
        "problem": call.problem,
        "note": call.note if call.repair_step == "native" else f"repaired: {call.repair_step}. {call.note}",
        "arguments": block(arguments_text(call.arguments), reply.seq, f"call-{call.id}"),
        "result": block(result.content, result.seq, "content") if result else None,
        "failed": bool(result and result.failed),
        "job": started.job if started else "",
        "output_bytes": job.output_bytes if job else 0,
    }


def text_of(event: Event, field: str) -> str:
    """A long text of an event by the name its block has. Empty if there is none."""
    if isinstance(event, ModelReplied):
        text, thinking = split_thinking(event.message)
        known = {"text": text, "thinking": thinking}
        known |= {f"call-{call.id}": arguments_text(call.arguments) for call in event.calls}
        if field in known:
            return known[field]
    value = getattr(event, field, "") if field in type(event).model_fields or field in (event.model_extra or {}) else ""
    return value if isinstance(value, str) else str(value)
