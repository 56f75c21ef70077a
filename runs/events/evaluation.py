"""Events of evaluations, folds, and the final selection. For people only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from runs.events.base import Audience, Event


class EvaluationStarted(Event):
    """A commit is about to be evaluated: `command` runs in a clean checkout of it, as `job`."""

    kind: Literal["evaluation_started"] = "evaluation_started"
    evaluation: str
    call: str
    command: str
    commit: str
    tree: str
    job: str


class EvaluationFinished(Event):
    """The result of an evaluation. The exact score is for people; the model sees `shown_score` in its tool result.

    `status`: scored, unscored (a valid file, but the task has no labels to hold out), invalid, failed, timeout.
    `noise` is one standard error of `score`. `submission` is the sha256 of the submission of the test rows. `verdict`
    (first, real, unclear, worse) is the comparison with the evaluation `against`: `gain` (above 0: better), its noise,
    the `share` of draws in favour, and how many folds both ran on (`gain_folds`). `shown_gain` is the gain as the model
    sees it. `promoted` says whether it is the new best (None: an older journal, where the
    better score decided). `folds` is how many blends the score is over; `distrust_reason` why it is not trusted;
    `claimed` the last score the solution printed of itself; `notes` what the model sees beside the score.
    `first_score` and `first_noise` are those of the first fold, whose labels the agent does not know. `mean_score` is
    the score over all folds where `score` is that of the first fold, because the others scored suspiciously better.
    """

    kind: Literal["evaluation_finished"] = "evaluation_finished"
    audience: Audience = "people"
    evaluation: str
    status: Literal["scored", "unscored", "invalid", "failed", "timeout"]
    commit: str
    tree: str
    score: float | None = None
    noise: float | None = None
    shown_score: str = ""
    message: str = ""
    seconds: float = 0.0
    submission: str = ""
    verdict: str = ""
    against: str = ""
    gain: float | None = None
    gain_noise: float | None = None
    gain_folds: int = 0
    shown_gain: str = ""
    share: float | None = None
    promoted: bool | None = None
    folds: int = 0
    first_score: float | None = None
    first_noise: float | None = None
    mean_score: float | None = None
    distrust_reason: str = ""
    claimed: float | None = None
    notes: list[str] = Field(default_factory=list)


class SubmissionChosen(Event):
    """The submission of record changed. `evaluation` is empty for the sample submission a run starts with, `final`
    for what the end of a run made of its finalists."""

    kind: Literal["submission_chosen"] = "submission_chosen"
    audience: Audience = "people"
    evaluation: str
    sha256: str
    why: str


class PlanMade(Event):
    """How solutions are evaluated from now on, decided when the first one was scored.

    `folds`: the number of folds (0: one split only). `seconds` is how long a job took, `allowance` the seconds that
    the other folds may take in all, `kept_back` the seconds kept for the final selection. `select_half`: every other
    held-out row is set aside as a select row, because no finalist will have the time to run again.
    """

    kind: Literal["plan_made"] = "plan_made"
    audience: Audience = "people"
    folds: int
    labelled_rows: int
    seconds: float
    allowance: float
    kept_back: float
    why: str
    select_half: bool = False


class FoldStarted(Event):
    """An evaluation's command is about to run on another fold, as `job`. The model learns only a status."""

    kind: Literal["fold_started"] = "fold_started"
    audience: Audience = "people"
    evaluation: str
    fold: str
    job: str


class FoldFinished(Event):
    """The result of an evaluation on another fold. `status` is one of an evaluation's, or `stopped`: it was ended
    because another fold failed. `share` is the part of `seconds` that counts as used: folds that run at once share the
    machine."""

    kind: Literal["fold_finished"] = "fold_finished"
    audience: Audience = "people"
    evaluation: str
    fold: str
    status: str
    score: float | None = None
    noise: float | None = None
    message: str = ""
    seconds: float = 0.0
    share: float = 1.0
    submission: str = ""


class Decided(Event):
    """One decision of the final selection, with its numbers.

    `step`: finalists, reproduced, replicas, select (fresh, halves), reported (the score of the submission and the rows
    it comes from), ensemble, refit, record. `chosen` names the winner.
    """

    kind: Literal["decided"] = "decided"
    audience: Audience = "people"
    step: str
    chosen: str
    why: str
    numbers: dict[str, Any] = Field(default_factory=dict)
