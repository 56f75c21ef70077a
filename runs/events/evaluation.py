"""Events of evaluations, folds, and the final selection. For people only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from runs.events.base import Audience, Event


class Step(BaseModel):
    """One step of a solution: `command` reads the files that match `uses` and writes those that match `makes`.

    Both are lists of paths, folders or globs, relative to the workspace. Without `uses` (None) it may read all code and
    settings of the commit and everything that earlier steps made.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    command: str
    uses: list[str] | None = None
    makes: list[str] = Field(default_factory=list)


class StepResult(BaseModel):
    """How one step of an evaluation ended on one split.

    `seconds` is how long its last real run took, `peak_bytes` how much memory (0: not measured),
    `cpu_seconds` how much of the processors (None: not known, or not run now). `cached_from` names
    the evaluation of that run where the result came from the cache (empty: it ran now). `job` is the job whose log it
    has. `notes` are for the model: what it wrote but did not declare, and whether a cached result was damaged.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    job: str
    seconds: float = 0.0
    peak_bytes: int = 0
    cpu_seconds: float | None = None
    cached_from: str = ""
    made_bytes: int = 0
    notes: list[str] = Field(default_factory=list)


class EvaluationStarted(Event):
    """A commit is about to be evaluated: `command` runs in a clean checkout of it, as `job`.

    `steps` are the solution's steps where it has several or declares what they use (empty: one step, `command`);
    `command` then joins theirs, and the jobs of several are `<job>-s1`, `<job>-s2`, ... `left_out` lists files of the
    workspace that no evaluation holds, with reasons. `solution` is a hash of the steps and of all files that they may
    read: two evaluations with the same one are repeats. `sample` below 1 is the share of training rows it sees: a first
    look that competes with nothing. `change` is a hash of what the attempt changed of its parent. `limit_seconds` is
    how long it may take, as the model asked (0: the default).
    """

    kind: Literal["evaluation_started"] = "evaluation_started"
    evaluation: str
    call: str
    command: str
    commit: str
    tree: str
    job: str
    steps: list[Step] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    solution: str = ""
    sample: float = 1.0
    change: str = ""
    limit_seconds: float = 0.0


class EvaluationFinished(Event):
    """The result of an evaluation. The exact score is for people; the model sees `shown_score` in its tool result.

    `status`: scored, unscored (a valid file, but the task has no labels to hold out), sampled (a valid file made from a
    share of the training rows; its score is `sampled_score`), invalid, failed, timeout.
    `noise` is one standard error of `score`. `submission` is the sha256 of the submission of the test rows. `verdict`
    (first, real, unclear, worse) is the comparison with the evaluation `against`: `gain` (above 0: better), its noise,
    the `share` of draws in favour, and how many folds both ran on (`gain_folds`). `shown_gain` is the gain as the model
    sees it. `promoted` says whether it is the new best (None: an older journal, where the
    better score decided). `folds` is how many blends the score is over; `distrust_reason` why it is not trusted;
    `claimed` the last score the solution printed of itself; `notes` what the model sees beside the score.
    `first_score` and `first_noise` are those of the first fold, whose labels the agent does not know. `mean_score` and
    `mean_noise` are those over all folds where `score` is that of the first fold, because the others scored
    suspiciously better.
    `seconds` is the uncached time on the first fold, the sum of each step's last real run, from which everything is
    planned; `spent_seconds` is how long its jobs really took now (None: as long). `steps` says how each step ended.
    """

    kind: Literal["evaluation_finished"] = "evaluation_finished"
    audience: Audience = "people"
    evaluation: str
    status: Literal["scored", "unscored", "sampled", "invalid", "failed", "timeout"]
    commit: str
    tree: str
    score: float | None = None
    sampled_score: float | None = None
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
    mean_noise: float | None = None
    distrust_reason: str = ""
    claimed: float | None = None
    notes: list[str] = Field(default_factory=list)
    spent_seconds: float | None = None
    steps: list[StepResult] = Field(default_factory=list)


class Part(BaseModel):
    """What one evaluation made on one split (`fold0`: the run's own), and its weight in a submission."""

    model_config = ConfigDict(frozen=True, extra="allow")

    evaluation: str
    split: str = "fold0"
    weight: float = 1.0


class SubmissionChosen(Event):
    """The submission of record changed. `evaluation` is empty for the sample submission a run starts with, `final`
    for what the end of a run made of its finalists. `parts` are the results it was combined from; a single part of an
    evaluation is submitted as it is (none: the sample, or an older journal)."""

    kind: Literal["submission_chosen"] = "submission_chosen"
    audience: Audience = "people"
    evaluation: str
    sha256: str
    why: str
    parts: list[Part] = Field(default_factory=list)


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
    because another fold failed. `seconds` is how long its jobs took now, `share` the part of it that counts as used:
    folds that run at once share the machine. `steps` says which steps came from the cache. `exception` is the type of a
    usual exception that ended it."""

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
    exception: str = ""
    steps: list[StepResult] = Field(default_factory=list)


class Decided(Event):
    """One decision of the final selection, with its numbers.

    `step`: finalists, reproduced, replicas, select (fresh, halves), reported (the score of the submission and the rows
    it comes from), ensemble, refit, record. `chosen` names the winner. In `numbers`, `judged` and `estimates` give the
    score of each finalist, and `judged_noise` and `estimates_noise` one standard error (none in an older journal).
    """

    kind: Literal["decided"] = "decided"
    audience: Audience = "people"
    step: str
    chosen: str
    why: str
    numbers: dict[str, Any] = Field(default_factory=dict)
