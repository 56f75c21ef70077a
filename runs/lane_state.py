"""Where one lane of a run stands: its open attempt, and what of its turn is not done yet. Part of `State`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    EpochStarted,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    MoveChosen,
    NotesKept,
    Reminded,
    ToolFinished,
    ToolStarted,
    Waited,
    Warned,
    WindowGivenUp,
)
from runs.state_types import Attempt, Pending


@dataclass
class LaneState:
    """Where a lane stands after the events applied so far. Read it; only `State.apply` changes it."""

    attempt: Attempt | None = None
    """The open attempt, if there is one."""
    turn: int = 0
    """Its last reply, counted over the whole run as `State.turns`."""
    pending: dict[str, Pending] = field(default_factory=dict)
    open_jobs: dict[str, str] = field(default_factory=dict)
    last_asked: ModelAsked | None = None
    in_flight: ModelAsked | None = None
    """The request that was sent and has no reply on record: it may have to be paid."""
    chosen_move: MoveChosen | None = None
    """The move of its next attempt, once it is decided."""
    epoch: EpochStarted | None = None
    given_up: str = ""
    """Why the window cannot be used any more (`too_large`, `poisoned`); the attempt is about to end."""
    needs_reminder: bool = False
    has_refused_window: bool = False
    """Whether the last request was refused for good in a way that the window may have caused."""
    unread_dialect: str = ""
    """The syntax in which the last reply seems to hold a call that could not be read."""
    has_refused_finish: bool = False
    """Whether an empty `finish` of the open attempt was refused: it may have lost its arguments."""
    open_evaluations: list[str] = field(default_factory=list)
    """Evaluations of the open attempt that have no result yet."""
    untold: list[str] = field(default_factory=list)
    """Those that have one, which no tool result has told yet."""
    warnings: list[str] = field(default_factory=list)
    """Warnings of the open attempt."""
    told: set[str] = field(default_factory=set)
    """Notes that are told once, of the run and of the open attempt, and that were told."""
    notes: str = ""
    """The model's `NOTES.md` as its last attempt left it."""
    news: str = ""
    """The last evaluation of another lane that became the best and was not told in this lane yet."""

    def apply(self, event: Event) -> None:
        """Take one more event of this lane into account. `State` keeps `attempt` and `turn`."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _start_epoch(self, event: EpochStarted) -> None:
        # The head is large and the window keeps it; here only the fact and its reason matter.
        self.epoch = event.model_copy(update={"system": "", "tools": "", "user": ""})
        self.last_asked = None
        # Before its first turn a resume may have brought other settings, and so another chance.
        if event.reason != "resume" or not (self.attempt and self.attempt.turns):
            self.given_up = ""

    def _give_up(self, event: WindowGivenUp) -> None:
        self.given_up = event.why

    def _choose_move(self, event: MoveChosen) -> None:
        self.chosen_move = event

    def _start_attempt(self, event: AttemptStarted) -> None:
        self.chosen_move = None
        self.told = {name for name in self.told if name.startswith("run ")}
        self.pending.clear()
        self.needs_reminder = False
        self.epoch = None
        self.given_up = ""
        self.news = ""
        self.has_refused_finish = False
        self.warnings.clear()
        self._forget_evaluations()

    def _forget_evaluations(self) -> None:
        self.open_evaluations, self.untold = [], []

    def _end_attempt(self, event: AttemptEnded) -> None:
        self.pending.clear()
        self.needs_reminder = False
        for job in event.killed_jobs:
            self.open_jobs.pop(job, None)
        self._forget_evaluations()

    def _keep_notes(self, event: NotesKept) -> None:
        self.notes = event.text

    def _warn(self, event: Warned) -> None:
        self.warnings.append(event.message)

    def _ask(self, event: ModelAsked) -> None:
        self.last_asked = self.in_flight = event

    def _wait(self, event: Waited) -> None:
        if event.request and self.last_asked and self.last_asked.request == event.request:
            self.in_flight = self.last_asked

    def _reply(self, event: ModelReplied) -> None:
        self.in_flight = None
        self.has_refused_window = False
        self.pending = {call.id: Pending(call, self.turn, position) for position, call in enumerate(event.calls)}
        self.needs_reminder = not event.calls
        self.unread_dialect = event.unread_dialect
        self.has_refused_finish |= any(call.name == "finish" and call.is_empty and call.problem for call in event.calls)

    def _fail(self, event: ModelFailed) -> None:
        self.in_flight = None
        self.has_refused_window = event.is_refusal

    def _remind(self, event: Reminded) -> None:
        self.needs_reminder = False

    def _start_tool(self, event: ToolStarted) -> None:
        if event.call in self.pending:
            self.pending[event.call] = replace(self.pending[event.call], started=event)
        if event.job:
            self.open_jobs[event.job] = event.call

    def _finish_tool(self, event: ToolFinished) -> None:
        self.pending.pop(event.call, None)
        self.news = ""
        self.told.update(event.told)
        self.untold = [name for name in self.untold if name not in event.results]

    def _start_evaluation(self, event: EvaluationStarted) -> None:
        self.open_evaluations = [*self.open_evaluations, event.evaluation]

    def _finish_evaluation(self, event: EvaluationFinished) -> None:
        if event.evaluation in self.open_evaluations:
            self.open_evaluations = [name for name in self.open_evaluations if name != event.evaluation]
            self.untold = [*self.untold, event.evaluation]


_HANDLERS: dict[type[Event], Callable[[LaneState, Any], None]] = {
    EpochStarted: LaneState._start_epoch,
    WindowGivenUp: LaneState._give_up,
    AttemptStarted: LaneState._start_attempt,
    AttemptEnded: LaneState._end_attempt,
    NotesKept: LaneState._keep_notes,
    Warned: LaneState._warn,
    ModelAsked: LaneState._ask,
    ModelReplied: LaneState._reply,
    MoveChosen: LaneState._choose_move,
    ModelFailed: LaneState._fail,
    Waited: LaneState._wait,
    Reminded: LaneState._remind,
    ToolStarted: LaneState._start_tool,
    ToolFinished: LaneState._finish_tool,
    EvaluationStarted: LaneState._start_evaluation,
    EvaluationFinished: LaneState._finish_evaluation,
}
