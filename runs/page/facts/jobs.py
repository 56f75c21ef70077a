"""The jobs of one attempt: what each ran, how long, and what it used of the machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runs.events.registry import EvaluationStarted, Event, FoldFinished, JobFinished, ModelReplied, ToolStarted
from runs.usage.job_use import JobUse, use_texts
from runs.views.format import duration_text, one_line
from runs.views.messages import arguments_text


def job_facts(events: Iterable[Event]) -> dict[str, Any]:
    """A row per ended job (its name, what ran, time, how it ended, its use), and the use of all of them in words."""
    total, rows = JobUse(), []
    arguments: dict[str, str] = {}
    ran: dict[str, str] = {}
    for event in events:
        total.apply(event)
        if isinstance(event, ModelReplied):
            arguments |= {call.id: arguments_text(call.arguments) for call in event.calls}
        elif isinstance(event, ToolStarted) and event.job:
            ran[event.job] = arguments.get(event.call, event.name)
        elif isinstance(event, EvaluationStarted):
            ran[event.job] = f"evaluation {event.evaluation}"
        elif isinstance(event, JobFinished):
            rows.append(_row(event.job, _what_ran(event.job, ran), event.seconds, _ended(event), use_of(event)))
        elif isinstance(event, FoldFinished):
            name = f"evaluation {event.evaluation}, {event.fold}"
            job = next((step.job for step in reversed(event.steps) if not step.cached_from), "")
            row = _row(job, name, event.seconds, event.status, use_of(event))
            rows.append(row if job or not event.steps else {**row, "use": "from the cache"})
    return {"rows": rows, "use": use_texts(total)}


def use_of(event: Event) -> JobUse:
    """What one ended job, or one fold, used."""
    use = JobUse()
    use.apply(event)
    return use


def _what_ran(job: str, ran: Mapping[str, str]) -> str:
    """What a job ran; of several steps of an evaluation each has a job of its own."""
    first, is_step, number = job.rpartition("-s")
    if job not in ran and is_step and number.isdecimal() and first in ran:
        return f"{ran[first]}, step {number}"
    return ran.get(job, "")


def _ended(event: JobFinished) -> str:
    return event.ended if event.exit_code in (None, 0) else f"{event.ended}, exit code {event.exit_code}"


def _row(job: str, ran: str, seconds: float, ended: str, use: JobUse) -> dict[str, str]:
    return {
        "job": job,
        "ran": one_line(ran, 160),
        "time": duration_text(seconds),
        "ended": ended,
        "use": ", ".join(use_texts(use)) or "not known",
    }
