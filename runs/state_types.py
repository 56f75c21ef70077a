"""What a state is made of: evaluations, attempts, and calls without a result yet."""

from __future__ import annotations

from dataclasses import dataclass

from runs.events.registry import Call, ToolStarted


@dataclass(frozen=True)
class Evaluation:
    """One evaluation, open until `status` is set. `score` is exact, `told` what the model heard of it."""

    id: str
    attempt: int
    call: str
    command: str
    commit: str
    tree: str
    job: str
    status: str = ""
    score: float | None = None
    noise: float | None = None
    shown_score: str = ""
    message: str = ""
    seconds: float = 0.0
    submission: str = ""
    was_best: bool = False
    verdict: str = ""
    against: str = ""
    gain: float | None = None
    gain_noise: float | None = None
    share: float | None = None
    folds: int = 0
    alarm: str = ""
    claimed: float | None = None
    notes: tuple[str, ...] = ()
    turn: int = 0
    """The reply whose call opened it, counted as `State.turns`."""


@dataclass(frozen=True)
class Attempt:
    """One attempt; `ended` is empty while it is open. `active_seconds` and `cost` count what it used."""

    number: int
    parent: str | None
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


@dataclass(frozen=True)
class Pending:
    """A call of the last reply that has no result yet; `started` tells how far it came before a crash.

    `turn` counts the replies of the run, `position` the calls of that reply: together they name its job.
    """

    call: Call
    turn: int
    position: int
    started: ToolStarted | None = None
