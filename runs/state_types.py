"""What a state is made of: evaluations, attempts, and calls without a result yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runs.events.registry import (
    AttemptEnded,
    AttemptStarted,
    Call,
    EndpointChanged,
    EvaluationFinished,
    EvaluationStarted,
    RunCreated,
    ToolStarted,
)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: the event that started it and, once it is over, the one that finished it.

    `turn` is the reply whose call started it, counted as `State.turns`. `became_best`: it was the new best.
    `ended_active` is when it was over, in active seconds of the run.
    `is_late`: its attempt had ended before it.
    """

    started: EvaluationStarted
    turn: int = 0
    finished: EvaluationFinished | None = None
    became_best: bool = False
    ended_active: float = 0.0
    is_late: bool = False

    @property
    def id(self) -> str:
        """Its name, such as `003-1`: the first evaluation of attempt 3."""
        return self.started.evaluation

    @property
    def attempt(self) -> int:
        """The attempt it belongs to."""
        return self.started.attempt

    @property
    def lane(self) -> int:
        """The lane it belongs to."""
        return self.started.lane

    @property
    def commit(self) -> str:
        """The commit that was evaluated."""
        return self.started.commit

    @property
    def command(self) -> str:
        """The command that makes `submission.csv`."""
        return self.started.command

    @property
    def status(self) -> str:
        """How it ended (see `EvaluationFinished`); empty while it is open."""
        return self.finished.status if self.finished else ""

    @property
    def score(self) -> float | None:
        """The exact score, for people only."""
        return self.finished.score if self.finished else None

    @property
    def noise(self) -> float | None:
        """One standard error of the score."""
        return self.finished.noise if self.finished else None

    @property
    def shown_score(self) -> str:
        """The score as the model sees it."""
        return self.finished.shown_score if self.finished else ""

    def with_score(self, score: float, noise: float | None = None) -> Evaluation:
        """The same evaluation with a score from other rows; `noise` is one standard error, None if it is not known."""
        return replace(self, finished=self.result.model_copy(update={"score": score, "noise": noise}))

    @property
    def result(self) -> EvaluationFinished:
        """The finished event of an evaluation that is over."""
        assert self.finished is not None, f"evaluation {self.id} is not over"
        return self.finished


@dataclass(frozen=True)
class Attempt:
    """One attempt: a move applied to its parents (commits) in a lane. `ended` is empty while it is open.

    `brief` is what the model reads of the move, `continue_from` the evaluation that the model wants to start from next.
    `active_seconds` and `cost` count what it used; `closing` is the event of its end.
    """

    number: int
    move: str = "improve"
    parents: tuple[str, ...] = ()
    lane: int = 0
    turns: int = 0
    cost: float = 0.0
    started_at: str = ""
    began_active: float = 0.0
    active_seconds: float = 0.0
    ended: str = ""
    did: str = ""
    criticism: str = ""
    next: str = ""
    lessons: tuple[str, ...] = ()
    brief: str = ""
    compared: tuple[str, ...] = ()
    continue_from: str = ""
    closing: AttemptEnded | None = None

    @classmethod
    def begun(cls, number: int, event: AttemptStarted, began_active: float) -> Attempt:
        """An attempt that its first event opens."""
        return cls(
            number,
            event.move,
            tuple(event.parents),
            lane=event.lane,
            started_at=event.at,
            began_active=began_active,
            brief=event.brief,
            compared=tuple(event.compared),
        )

    @property
    def parent(self) -> str | None:
        """The commit its workspace started from; None: an empty one."""
        return self.parents[0] if self.parents else None


@dataclass(frozen=True)
class Pending:
    """A call of the last reply that has no result yet; `started` is set once its execution began.

    `turn` counts the replies of the run, `position` the calls of that reply: together they name its job.
    """

    call: Call
    turn: int
    position: int
    started: ToolStarted | None = None


def changed(created: RunCreated, change: EndpointChanged) -> RunCreated:
    """Event 0 as if the run had begun at the other endpoint."""
    names = ("base_url", "model", "endpoint", "key_variable")
    settings = created.settings.model_copy(update={name: getattr(change, name) for name in names})
    known = {name: getattr(change, name) for name in ("probe", "prices", "profile")}
    return created.model_copy(update={"settings": settings, **known})
