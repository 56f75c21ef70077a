"""The kinds of events by which a harness decides on its own: how it judges, and what it hands in. For people only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from runs.events.base import Audience, Event


class PlanMade(Event):
    """How solutions are judged from now on, decided from what the first scored one took.

    `folds`: over so many blends (0: the one the agent lives in). `seconds` is how long a job took, `allowance` how many
    seconds further folds may take in all, `kept_back` how many are kept for the end of the run.
    """

    kind: Literal["plan_made"] = "plan_made"
    audience: Audience = "people"
    folds: int
    labelled_rows: int
    seconds: float
    allowance: float
    kept_back: float
    why: str


class FoldStarted(Event):
    """An evaluation's command is about to run on another blend, as `job`; nothing of it but a status is told."""

    kind: Literal["fold_started"] = "fold_started"
    audience: Audience = "people"
    evaluation: str
    fold: str
    job: str


class FoldFinished(Event):
    """What came of an evaluation on another blend. `status` is one of an evaluation's."""

    kind: Literal["fold_finished"] = "fold_finished"
    audience: Audience = "people"
    evaluation: str
    fold: str
    status: str
    score: float | None = None
    noise: float | None = None
    message: str = ""
    seconds: float = 0.0
    submission: str = ""


class Decided(Event):
    """One decision about what is handed in, with the numbers it rests on.

    `step`: finalists, reproduced, replicas, select (fresh, halves), ensemble, refit or record. `chosen` names what won.
    """

    kind: Literal["decided"] = "decided"
    audience: Audience = "people"
    step: str
    chosen: str
    why: str
    numbers: dict[str, Any] = Field(default_factory=dict)
