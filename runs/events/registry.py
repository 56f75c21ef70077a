"""The vocabulary of a run: every kind of line that may stand in `events.jsonl`.

An event is a frozen pydantic model. The journal fills in the envelope (`seq`, `at`, `mono`) when it appends;
whoever records it says the rest. In memory an event is always whole: that long texts are kept as blobs is the
journal's own affair. Folds (`state`, `accounting`, `transcript`, the window) read these and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from runs.events.base import Audience as Audience
from runs.events.base import Event as Event
from runs.events.evaluation import Decided as Decided
from runs.events.evaluation import FoldFinished as FoldFinished
from runs.events.evaluation import FoldStarted as FoldStarted
from runs.events.evaluation import PlanMade as PlanMade
from runs.events.tool_calls import Call as Call
from runs.events.tool_calls import Usage as Usage
from runs.events.window import CacheAlarm as CacheAlarm
from runs.events.window import CheckpointTaken as CheckpointTaken
from runs.events.window import EpochStarted as EpochStarted
from runs.events.window import WindowGivenUp as WindowGivenUp
from runs.events.window import WindowWeighed as WindowWeighed

FORMAT = 1
"""Version of the run folder; a folder of another version is refused, never guessed at."""

# ------------------------------------------------------------------------------------------------ the run as a whole


class RunCreated(Event):
    """Event 0. All that a resumed process must know to go on as the same run."""

    kind: Literal["run_created"] = "run_created"
    audience: Audience = "people"
    format: int = FORMAT
    harness_version: str
    run_id: str
    task_id: str
    task_path: str
    task_digest: str
    metric: str
    lower_is_better: bool
    seed: int
    model: str
    base_url: str
    is_demo: bool
    sandbox: str
    protects_labels: bool
    hours: float | None = None
    cost: float | None = None
    attempts: int | None = None
    turns: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TaskDescribed(Event):
    """The task card: what the model is told about the task, whole."""

    kind: Literal["task_described"] = "task_described"
    card: str
    data_files: list[str] = Field(default_factory=list)


class ThresholdsKnown(Event):
    """The medal lines, for people only. `rows` is the size of the leaderboard they come from, if any."""

    kind: Literal["thresholds_known"] = "thresholds_known"
    audience: Audience = "people"
    gold: float | None = None
    silver: float | None = None
    bronze: float | None = None
    median: float | None = None
    rows: int | None = None


class Resumed(Event):
    """A new process took the run up. `deadline` is the new absolute one (UTC, ISO), if hours are bounded."""

    kind: Literal["resumed"] = "resumed"
    audience: Audience = "people"
    harness_version: str
    torn: bool = False
    deadline: str | None = None


class EndpointProbed(Event):
    """What a few cheap calls found out about the endpoint, and when (UTC, ISO): a line for each finding.

    `calls` and `cost` (dollars) are what that took, where it was done for this run and not for one before it.
    """

    kind: Literal["endpoint_probed"] = "endpoint_probed"
    audience: Audience = "people"
    when: str
    findings: list[str]
    calls: int = 0
    cost: float = 0.0


class Paused(Event):
    """The process stopped on purpose (Ctrl-C, TERM, an endpoint that failed); the run can be resumed."""

    kind: Literal["paused"] = "paused"
    audience: Audience = "people"
    why: str


class RunEnded(Event):
    """The run is over. `why`: a budget, `stop`, or a model that gave no usable call."""

    kind: Literal["run_ended"] = "run_ended"
    audience: Audience = "people"
    why: Literal["hours", "cost", "attempts", "turns", "stopped", "unusable_replies"]


class Warned(Event):
    """Something its owner should know; it changes nothing by itself."""

    kind: Literal["warned"] = "warned"
    audience: Audience = "people"
    message: str


# ------------------------------------------------------------------------------------------------ attempts and turns


class AttemptStarted(Event):
    """An attempt begins from `parent` (a commit; None: an empty workspace)."""

    kind: Literal["attempt_started"] = "attempt_started"
    parent: str | None = None


class AttemptEnded(Event):
    """An attempt is over, with the model's own words where it gave any through `finish`."""

    kind: Literal["attempt_ended"] = "attempt_ended"
    why: Literal["finish", "turns", "window", "poisoned", "budget", "stopped", "unusable_replies", "loop"]
    did: str = ""
    criticism: str = ""
    next: str = ""
    lessons: list[str] = Field(default_factory=list)
    killed_jobs: list[str] = Field(default_factory=list)


class ModelAsked(Event):
    """A request left. `request` counts from 1; `messages` and `size` (bytes) describe what was sent, `digest` is
    the sha256 of the message bytes and `breach` is true if they did not extend the last request's. `reused` is how many
    of the bytes began the request before as well, epochs or not (-1: not known)."""

    kind: Literal["model_asked"] = "model_asked"
    audience: Audience = "people"
    request: int
    messages: int
    size: int
    digest: str = ""
    breach: bool = False
    reused: int = -1


class ModelReplied(Event):
    """The reply, on disk before its first call starts.

    `text` and `thinking` are what it said; `calls` what is to be performed; `message` the canonical assistant
    message as JSON text, whose bytes go back to the endpoint unchanged. `raw` keeps what arrived where it had to
    be mended.
    """

    kind: Literal["model_replied"] = "model_replied"
    request: int
    message: str
    calls: list[Call] = Field(default_factory=list)
    finish_reason: str = ""
    usage: Usage = Usage()
    cost: float = 0.0
    seconds: float = 0.0
    retries: int = 0
    raw: str = ""


class ModelFailed(Event):
    """A request came to nothing; in `again_in` seconds it is tried once more (None: it is not). `cost` is the estimate
    for what may have to be paid all the same, as far as no earlier event holds it."""

    kind: Literal["model_failed"] = "model_failed"
    audience: Audience = "people"
    request: int
    error: str
    again_in: float | None = None
    cost: float = 0.0


class Reminded(Event):
    """What the harness said after a reply without a usable call. `call`, where set, is the id of a marked call that is
    added to that reply, so that the words are its result; otherwise they are a user message."""

    kind: Literal["nudged"] = "nudged"
    text: str
    call: str = ""


class ToolStarted(Event):
    """A call is about to be performed. `job` is the id it will run under; `before` and `after` are sha256 of the
    file an edit replaces and leaves, so that a resumed edit knows whether it was made."""

    kind: Literal["tool_started"] = "tool_started"
    call: str
    name: str
    job: str = ""
    before: str = ""
    after: str = ""


class ToolFinished(Event):
    """What the model is told of a call: `content` is the tool message, whole. `asks` names what it asks for."""

    kind: Literal["tool_finished"] = "tool_finished"
    call: str
    name: str
    content: str
    failed: bool = False
    asks: Literal["", "checkpoint"] = ""


# --------------------------------------------------------------------------------------------- jobs and evaluations


class JobFinished(Event):
    """A job was seen to have ended. `ended`: exited, timeout, output, killed, lost."""

    kind: Literal["job_finished"] = "job_finished"
    job: str
    ended: str
    exit_code: int | None = None
    seconds: float = 0.0
    output_bytes: int = 0


class Waited(Event):
    """A sign of life during a long wait, so that a crash does not lose the clock. `request`, where set, is the one that
    leaves once more now."""

    kind: Literal["waited"] = "waited"
    audience: Audience = "people"
    on: str
    request: int = 0


class EvaluationStarted(Event):
    """A commit is about to be judged: `command` runs from a clean checkout of it, as `job`."""

    kind: Literal["evaluation_started"] = "evaluation_started"
    evaluation: str
    call: str
    command: str
    commit: str
    tree: str
    job: str


class EvaluationFinished(Event):
    """The verdict of an evaluation. The exact score is for people; the model is told a rounded one in its result.

    `status`: scored, unscored (a valid file, but the task has no labels to hold out), invalid, failed, timeout.
    `noise` is one standard error of `score`. `submission` is the sha256 of the submission of the test rows. `verdict`
    (first, real, unclear, worse) is the comparison with the evaluation `against`: `gain` (above 0: better), its noise,
    and the `share` of draws in favour. `promoted` says whether it is the new best (None: an older journal, where the
    better score decided). `folds` is how many blends the score is over; `alarm` why it is not to be trusted;
    `claimed` the last score the solution printed of itself; `notes` what the model is told beside.
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
    share: float | None = None
    promoted: bool | None = None
    folds: int = 0
    alarm: str = ""
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


class UnknownEvent(Event):
    """An event of a kind this version does not know: kept, shown, and otherwise ignored."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


AnyEvent = Annotated[
    RunCreated | TaskDescribed | ThresholdsKnown | Resumed | EpochStarted | Paused | RunEnded | Warned | AttemptStarted
    | AttemptEnded | ModelAsked | ModelReplied | ModelFailed | Reminded | ToolStarted | ToolFinished | JobFinished
    | EndpointProbed | Waited | EvaluationStarted | EvaluationFinished | SubmissionChosen
    | CheckpointTaken | WindowWeighed | WindowGivenUp | CacheAlarm | PlanMade | FoldStarted | FoldFinished | Decided,
    Field(discriminator="kind"),
]  # fmt: skip

_adapter: TypeAdapter[Event] = TypeAdapter(AnyEvent)


def read_event(fields: dict[str, Any]) -> Event:
    """Turn the fields of one journal line into an event.

    A kind that this version does not know becomes an `UnknownEvent`. Raises pydantic's `ValidationError` where a
    known kind has fields that do not fit.
    """
    try:
        return _adapter.validate_python(fields)
    except ValidationError as error:
        if any(item["type"] == "union_tag_invalid" for item in error.errors()):
            return UnknownEvent.model_validate(fields)
        raise
