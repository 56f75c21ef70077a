"""State: where a run stands, as a fold over its events. Resuming a run is folding its journal.

`State.apply` alone decides what an event means for the run. The state can be deleted and rebuilt at any time; it is
updated event by event while a run is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from runs.control_state import ControlState, extended
from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    BranchCompared,
    BudgetExtended,
    Decided,
    EndpointChanged,
    EndpointProbed,
    EvaluationFinished,
    EvaluationStarted,
    Event,
    FoldFinished,
    FoldStarted,
    JobFinished,
    LanesChanged,
    LessonsChosen,
    LessonsLearned,
    ModelAsked,
    ModelFailed,
    ModelReplied,
    Paused,
    PlanMade,
    PlayContinued,
    Resumed,
    RunCreated,
    RunEnded,
    RunForked,
    SubmissionChosen,
    TaskDescribed,
    ThresholdsKnown,
)
from runs.lane_state import LaneState as LaneState
from runs.state_types import Attempt as Attempt
from runs.state_types import Evaluation as Evaluation
from runs.state_types import Pending as Pending
from runs.state_types import changed as changed


@dataclass
class State:
    """Where the run stands after the events applied so far. Read it; only `apply` changes it."""

    created: RunCreated | None = None
    card: str = ""
    thresholds: ThresholdsKnown | None = None
    attempts: list[Attempt] = field(default_factory=list)
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    lanes: dict[int, LaneState] = field(default_factory=dict)
    """Where each lane stands that has an event on record; see `lane`."""
    evaluation_jobs: dict[str, str] = field(default_factory=dict)
    """The evaluation of each of its jobs that has not ended."""
    late_evaluations: list[tuple[int, str]] = field(default_factory=list)
    """Evaluations whose result came when their attempt had ended, and how many attempts had ended by then."""
    lessons: LessonsChosen | None = None
    """What earlier runs taught, as chosen for this run."""
    learned: LessonsLearned | None = None
    lanes_changed: LanesChanged | None = None
    """How many lanes may play, where that was changed after the start."""
    ended_attempts: list[Attempt] = field(default_factory=list)
    """In the order in which they ended."""
    best: Evaluation | None = None
    chosen: SubmissionChosen | None = None
    plan: PlanMade | None = None
    folds: dict[tuple[str, str], FoldFinished | None] = field(default_factory=dict)
    """Results on other folds by evaluation and fold name; None while one is open."""
    fold_seconds: float = 0.0
    decisions: dict[str, Decided] = field(default_factory=dict)
    """The last decision of each step."""
    comparisons: dict[tuple[str, str], BranchCompared] = field(default_factory=dict)
    """Comparisons within branches, by the two evaluations."""
    requests: int = 0
    turns: int = 0
    cost: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    last_prompt_tokens: int = 0
    is_cost_estimated: bool = False
    is_probed: bool = False
    unusable_replies: int = 0
    has_arguments: bool = False
    """Whether any native call has arrived with arguments: the server's parser reads this model."""
    turns_by_model: dict[str, int] = field(default_factory=dict)
    text_dialects: set[str] = field(default_factory=set)
    """Syntaxes of calls that came as text."""
    resumes: int = 0
    breaches: int = 0
    deadline: str | None = None
    ended: str = ""
    paused: str = ""
    control: ControlState = field(default_factory=ControlState)
    """What people asked of the run while it was played."""
    last_at: str = ""
    events: int = 0
    earlier_seconds: float = 0.0
    """Active seconds of earlier processes."""
    _segment_seconds: float = 0.0

    def lane(self, number: int) -> LaneState:
        """Where one lane stands; at its beginning if it has no event on record."""
        found = self.lanes.get(number)
        if found is None:
            found = self.lanes[number] = LaneState()
        return found

    @property
    def open_attempts(self) -> list[Attempt]:
        """The attempts that have not ended, oldest first: at most one a lane."""
        attempts = (lane.attempt for lane in list(self.lanes.values()) if lane.attempt)
        return sorted(attempts, key=lambda attempt: attempt.number)

    @property
    def active_seconds(self) -> float:
        """Seconds the run has been active up to the last event; time between a crash and its resume is not."""
        return self.earlier_seconds + self._segment_seconds

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller score is a better one."""
        return self.created is not None and self.created.lower_is_better

    @property
    def is_cost_known(self) -> bool:
        """Whether the cost means anything: prices are known, or the endpoint reports what it charges."""
        prices = self.created.prices if self.created else {}
        return not prices or bool(prices.get("source")) or self.cost > 0

    def is_better(self, score: float | None) -> bool:
        """Whether `score` beats the best so far (anything beats nothing; nothing beats anything)."""
        if score is None:
            return False
        if self.best is None or self.best.score is None:
            return True
        return score < self.best.score if self.lower_is_better else score > self.best.score

    def evaluation_of(self, call: str, turn: int) -> Evaluation | None:
        """The evaluation that a call of this reply of the run opened, if any."""
        # Ids of calls may come again in an attempt, once the turns with the first ones have left the window.
        found = (e for e in reversed(self.evaluations.values()) if e.started.call == call and e.turn == turn)
        return next(found, None)

    def evaluations_in(self, attempt: int) -> list[Evaluation]:
        """The evaluations of one attempt, oldest first."""
        return [e for e in self.evaluations.values() if e.attempt == attempt]

    def apply(self, event: Event) -> None:
        """Take one more event into account. Kinds that change nothing (or are unknown) only move the clock."""
        self.events += 1
        self.last_at = event.at
        if isinstance(event, Resumed):
            self._resume(event)
        self._segment_seconds = event.mono
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
        self.control.apply(event)
        self.lane(event.lane).apply(event)

    def _change_attempt(self, lane: LaneState, **changes: Any) -> None:
        if lane.attempt is None:
            return
        lane.attempt = replace(lane.attempt, **changes)
        self.attempts[lane.attempt.number - 1] = lane.attempt

    def _resume(self, event: Resumed) -> None:
        self.earlier_seconds += self._segment_seconds
        self.resumes += 1
        self.deadline = event.deadline
        self.paused = ""

    def _start_attempt(self, event: AttemptStarted) -> None:
        attempt = Attempt.begun(len(self.attempts) + 1, event, self.active_seconds)
        self.attempts.append(attempt)
        self.lane(event.lane).attempt = attempt

    def _end_attempt(self, event: AttemptEnded) -> None:
        lane = self.lane(event.lane)
        self._change_attempt(
            lane,
            ended=event.why,
            did=event.did,
            criticism=event.criticism,
            next=event.next,
            lessons=tuple(event.lessons),
            continue_from=event.continue_from,
            closing=event,
            active_seconds=self.active_seconds - (lane.attempt.began_active if lane.attempt else 0.0),
        )
        if lane.attempt:
            self.ended_attempts.append(lane.attempt)
        lane.attempt = None

    def _ask(self, event: ModelAsked) -> None:
        self.requests = event.request
        self.breaches += event.breach

    def _reply(self, event: ModelReplied) -> None:
        self.turns += 1
        self.cost += event.cost
        self.prompt_tokens += event.usage.prompt
        self.cached_tokens += event.usage.cached
        self.completion_tokens += event.usage.completion
        self.last_prompt_tokens = event.usage.prompt + event.usage.completion
        self.is_cost_estimated = self.is_cost_estimated or event.usage.estimated
        usable = any(not call.problem for call in event.calls)
        self.unusable_replies = 0 if usable else self.unusable_replies + 1
        self.has_arguments |= any(not call.is_empty and not call.is_text for call in event.calls)
        self.text_dialects |= {event.dialect, event.unread_dialect} - {""}
        if self.created:
            model = self.created.settings.model
            self.turns_by_model[model] = self.turns_by_model.get(model, 0) + 1
        lane = self.lane(event.lane)
        lane.turn = self.turns
        if lane.attempt:
            self._change_attempt(lane, turns=lane.attempt.turns + 1, cost=lane.attempt.cost + event.cost)

    def _change_endpoint(self, event: EndpointChanged) -> None:
        assert self.created is not None
        self.created = changed(self.created, event)

    def _extend(self, event: BudgetExtended) -> None:
        assert self.created is not None
        self.created = extended(self.created, event)
        self.deadline = event.deadline or self.deadline
        if self.ended:  # the final selection is made again
            self.ended, self.decisions = "", {}

    def _fork(self, event: RunForked) -> None:
        assert self.created is not None
        self.created = extended(self.created, event)
        self.deadline, self.paused, self.ended, self.decisions = None, "", "", {}
        self.unusable_replies = 0

    def _continue(self, event: PlayContinued) -> None:
        self.deadline = event.deadline or self.deadline

    def _probe(self, event: EndpointProbed) -> None:
        self.is_probed = True
        self.cost += event.cost

    def _fail(self, event: ModelFailed) -> None:
        self.cost += event.cost
        lane = self.lane(event.lane)
        if lane.attempt:
            self._change_attempt(lane, cost=lane.attempt.cost + event.cost)
        self.is_cost_estimated = self.is_cost_estimated or event.cost > 0

    def _finish_job(self, event: JobFinished) -> None:
        for lane in list(self.lanes.values()):
            lane.open_jobs.pop(event.job, None)
        self.evaluation_jobs.pop(event.job, None)

    def _start_evaluation(self, event: EvaluationStarted) -> None:
        # Other threads may be reading the old dictionary.
        evaluation = Evaluation(event, turn=self.lane(event.lane).turn)
        self.evaluations = {**self.evaluations, event.evaluation: evaluation}
        self.evaluation_jobs[event.job] = event.evaluation

    def _finish_evaluation(self, event: EvaluationFinished) -> None:
        # Without labels to hold out there is nothing to compare: the latest valid submission is the best known.
        is_new_best = event.status == "unscored" or (event.status == "scored" and self.is_better(event.score))
        is_new_best = is_new_best if event.promoted is None else event.promoted
        started = self.evaluations[event.evaluation]
        is_late = 0 < started.attempt <= len(self.attempts) and bool(self.attempts[started.attempt - 1].ended)
        if is_late:
            self.late_evaluations = [*self.late_evaluations, (len(self.ended_attempts), event.evaluation)]
        evaluation = replace(
            started, finished=event, became_best=is_new_best, ended_active=self.active_seconds, is_late=is_late
        )
        self.evaluations = {**self.evaluations, event.evaluation: evaluation}
        if is_new_best:
            self.best = evaluation
            for number, lane in self.lanes.items():
                if number != event.lane and lane.attempt:
                    lane.news = event.evaluation

    def _start_fold(self, event: FoldStarted) -> None:
        self.folds.setdefault((event.evaluation, event.fold), None)
        self.evaluation_jobs[event.job] = event.evaluation

    def _finish_fold(self, event: FoldFinished) -> None:
        self.folds[event.evaluation, event.fold] = event
        self.fold_seconds += event.seconds * event.share

    def _compare(self, event: BranchCompared) -> None:
        self.comparisons[event.evaluation, event.against] = event

    def _decide(self, event: Decided) -> None:
        self.decisions[event.step] = event


def _keep(name: str, field: str = "") -> Callable[[State, Any], None]:
    """A handler that keeps the event, or a field of it, under a name."""
    return lambda state, event: setattr(state, name, getattr(event, field) if field else event)


_HANDLERS: dict[type[Event], Callable[[State, Any], None]] = {
    RunCreated: _keep("created"),
    TaskDescribed: _keep("card", "card"),
    LessonsChosen: _keep("lessons"),
    LessonsLearned: _keep("learned"),
    ThresholdsKnown: _keep("thresholds"),
    Paused: _keep("paused", "why"),
    RunEnded: _keep("ended", "why"),
    AttemptStarted: State._start_attempt,
    AttemptEnded: State._end_attempt,
    EndpointProbed: State._probe,
    EndpointChanged: State._change_endpoint,
    BudgetExtended: State._extend,
    PlayContinued: State._continue,
    RunForked: State._fork,
    LanesChanged: _keep("lanes_changed"),
    ModelAsked: State._ask,
    ModelReplied: State._reply,
    ModelFailed: State._fail,
    JobFinished: State._finish_job,
    EvaluationStarted: State._start_evaluation,
    EvaluationFinished: State._finish_evaluation,
    SubmissionChosen: _keep("chosen"),
    PlanMade: _keep("plan"),
    FoldStarted: State._start_fold,
    FoldFinished: State._finish_fold,
    Decided: State._decide,
    BranchCompared: State._compare,
}


def fold(events: Iterable[Event]) -> State:
    """Fold events, oldest first, into the state they leave a run in."""
    state = State()
    for event in events:
        state.apply(event)
    return state
