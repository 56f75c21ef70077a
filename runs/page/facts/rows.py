"""The rows of the list of turns: one per reply of the model, and one per mark between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    BudgetExtended,
    CacheAlarm,
    CheckpointTaken,
    EndpointChanged,
    EpochStarted,
    EvaluationFinished,
    Event,
    LanesChanged,
    ModelFailed,
    ModelReplied,
    Paused,
    PlayContinued,
    PlayPaused,
    Reminded,
    RequestRefused,
    Resumed,
    RunEnded,
    RunForked,
    Steered,
    StopAsked,
    SubmissionChosen,
    UnknownEvent,
    Warned,
)
from runs.state import State
from runs.views.control import forked_text
from runs.views.format import evaluation_text, one_line, printable
from runs.views.messages import arguments_text, split_thinking

WIDTH = 140


@dataclass(frozen=True)
class Row:
    """One row. `turn` is 0 for a mark; `tone` says how it looks: turn, attempt, window, score, warn, pause or plain."""

    seq: int
    turn: int
    attempt: int
    lane: int
    hours: float
    tone: str
    text: str
    seconds: float = 0.0
    prompt: int = 0
    cached: int = 0
    output: int = 0
    cost: float = 0.0

    def as_list(self) -> list[Any]:
        """The row as the browser gets it; `NAMES` names the places."""
        return [
            *(self.seq, self.turn, self.attempt, self.lane, round(self.hours, 4), self.tone, self.text),
            *(round(self.seconds, 1), self.prompt, self.cached, self.output, round(self.cost, 6)),
        ]


def row_of(event: Event, state: State, hours: float) -> Row | None:
    """The row of an event that `state` has already applied; None for kinds that have none."""
    if isinstance(event, ModelReplied):
        return Row(
            event.seq, state.turns, event.attempt, event.lane, hours, "turn", _reply_text(event), event.seconds,
            event.usage.prompt, event.usage.cached, event.usage.completion, event.cost,
        )  # fmt: skip
    handler = _MARKS.get(type(event))
    if handler is None:
        return None
    tone, text = handler(event, state)
    shown = one_line(printable(text), WIDTH)
    return Row(event.seq, 0, event.attempt, event.lane, hours, tone, shown) if text else None


def _reply_text(event: ModelReplied) -> str:
    calls = [f"{call.name}: {one_line(arguments_text(call.arguments), WIDTH)}".rstrip(": ") for call in event.calls]
    if calls:
        more = f"  (and {len(calls) - 1} more)" if len(calls) > 1 else ""
        return one_line(printable(calls[0]), WIDTH) + more
    return "no call: " + one_line(printable(split_thinking(event.message)[0]), WIDTH)


def _attempt(event: AttemptStarted, state: State) -> tuple[str, str]:
    base = f"from {len(event.parents)} commit{'s' * (len(event.parents) > 1)}" if event.parents else "from nothing"
    return "attempt", f"attempt {event.attempt or len(state.attempts)}: {event.move}, {base}"


def _evaluation(event: EvaluationFinished, state: State) -> tuple[str, str]:
    evaluation = state.evaluations.get(event.evaluation)
    outcome = evaluation_text(evaluation, state) if evaluation else event.status
    verdict = f", {event.verdict}" if event.verdict else ""
    return "score", f"evaluation {event.evaluation}: {outcome}{verdict}{', new best' if event.promoted else ''}"


def _epoch(event: EpochStarted, _: State) -> tuple[str, str]:
    if event.stage:
        return "window", f"window made smaller ({event.stage}): {event.why}"
    return ("window", f"window rebuilt ({event.reason})") if event.reason in ("repaired", "overflow") else ("", "")


def _failure(event: ModelFailed, _: State) -> tuple[str, str]:
    return "warn", f"request {event.request} failed: {event.error}"


def _ended(event: AttemptEnded, _: State) -> tuple[str, str]:
    return "attempt", f"attempt {event.attempt} ended ({event.why})" + (f": {event.did}" if event.did else "")


_MARKS: dict[type[Event], Callable[[Any, State], tuple[str, str]]] = {
    AttemptStarted: _attempt,
    AttemptEnded: _ended,
    EpochStarted: _epoch,
    EvaluationFinished: _evaluation,
    ModelFailed: _failure,
    CheckpointTaken: lambda event, _: ("window", f"checkpoint: {'; '.join(event.done)}"),
    Reminded: lambda event, _: ("plain", f"the harness said: {event.text}"),
    SubmissionChosen: lambda event, _: (
        "plain",
        f"submission of record: {f'{event.evaluation}, ' if event.evaluation else ''}{event.why}",
    ),
    Steered: lambda event, _: ("pause", f"a person steered: {event.hint or 'start from ' + event.evaluation}"),
    PlayPaused: lambda event, _: ("pause", "paused by a person"),
    PlayContinued: lambda event, _: ("pause", f"continued after {event.seconds:.0f} s"),
    StopAsked: lambda event, _: ("pause", "a person asked the run to end"),
    BudgetExtended: lambda event, _: ("pause", "a person extended the budget"),
    RunForked: lambda event, _: ("pause", forked_text(event)),
    RequestRefused: lambda event, _: ("warn", f"a request was refused: {event.why}"),
    Warned: lambda event, _: ("warn", f"warning: {event.message}"),
    CacheAlarm: lambda event, _: ("warn", f"cache: {event.message}"),
    EndpointChanged: lambda event, _: ("warn", f"now {event.model} at {event.base_url}: {event.why}"),
    LanesChanged: lambda event, _: ("plain", f"{event.parallel} lanes from now on: {event.why}"),
    Paused: lambda event, _: ("pause", f"stopped: {event.why}"),
    Resumed: lambda event, _: ("pause", f"resumed by harness {event.harness_version}"),
    RunEnded: lambda event, _: ("pause", f"run ended: {event.why}"),
    UnknownEvent: lambda event, _: ("warn", f"event {event.kind}, written by a newer version"),
}
