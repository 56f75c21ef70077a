"""Every kind of event that a line of `events.jsonl` can hold.

An event is a frozen pydantic model. The journal fills in the envelope (`seq`, `at`, `mono`, `prev`) when it appends;
the caller gives the rest. In memory an event is always whole: that long texts are stored as blobs is the journal's own
affair. All views of a run (state, usage, transcript, window) are folds over these events.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from runs.events.attempts import AttemptEnded as AttemptEnded
from runs.events.attempts import AttemptStarted as AttemptStarted
from runs.events.attempts import LanesChanged as LanesChanged
from runs.events.attempts import NotesKept as NotesKept
from runs.events.base import Audience as Audience
from runs.events.base import Event as Event
from runs.events.control import BudgetExtended as BudgetExtended
from runs.events.control import PlayContinued as PlayContinued
from runs.events.control import PlayPaused as PlayPaused
from runs.events.control import RequestRefused as RequestRefused
from runs.events.control import RunForked as RunForked
from runs.events.control import Steered as Steered
from runs.events.control import StopAsked as StopAsked
from runs.events.evaluation import Decided as Decided
from runs.events.evaluation import EvaluationFinished as EvaluationFinished
from runs.events.evaluation import EvaluationStarted as EvaluationStarted
from runs.events.evaluation import FoldFinished as FoldFinished
from runs.events.evaluation import FoldStarted as FoldStarted
from runs.events.evaluation import Part as Part
from runs.events.evaluation import PlanMade as PlanMade
from runs.events.evaluation import Step as Step
from runs.events.evaluation import StepResult as StepResult
from runs.events.evaluation import SubmissionChosen as SubmissionChosen
from runs.events.learning import LessonsChosen as LessonsChosen
from runs.events.learning import LessonsLearned as LessonsLearned
from runs.events.search import BranchCompared as BranchCompared
from runs.events.search import MoveChosen as MoveChosen
from runs.events.tool_calls import Call as Call
from runs.events.tool_calls import ToolFinished as ToolFinished
from runs.events.tool_calls import ToolStarted as ToolStarted
from runs.events.tool_calls import Usage as Usage
from runs.events.window import CacheAlarm as CacheAlarm
from runs.events.window import CheckpointTaken as CheckpointTaken
from runs.events.window import CompactionConsidered as CompactionConsidered
from runs.events.window import EpochStarted as EpochStarted
from runs.events.window import WindowGivenUp as WindowGivenUp
from runs.run_settings import RunSettings

FORMAT = 2
"""Version of the run folder. Older ones are upgraded on reading (`upgrade.py`), newer ones are refused."""

# ------------------------------------------------------------------------------------------------ the run as a whole


class RunCreated(Event):
    """Event 0: what a resumed process must know to continue the same run.

    `settings` holds every effective setting by value. `sandbox` is the kind that was opened, `image`, `python`,
    `packages` and `notice` what it offers and enforces. `environment` is the folder of the Python environment, below
    HARNESS_HOME if it lies there; empty for the default one. `blend` is the folder of the run's data below
    HARNESS_HOME, `sample` the sample submission, `hidden` files of packages to mask. `probe` is what is known of the
    endpoint; `probe_is_new` whether it was probed for this run. `prices` are dollars per million tokens (`input`,
    `cached`, `output`) and their `source`; empty in older runs, without a source if they are unknown. `playbook` is the
    hash of the prompts and working settings, `prompts` their texts by name: what a run reads of them never changes.
    `has_answers`: the task has private answers to grade with; `kaggle` names the live competition that a submission can
    be sent to. `profile` is the kind of the endpoint, `hardware` describes the machine, `defects` are those known
    of the task; all three are for readers of the result, and empty in older runs.
    """

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
    is_demo: bool
    sandbox: str
    protects_labels: bool
    settings: RunSettings = RunSettings()
    blend: str = ""
    sample: str = ""
    hidden: list[str] = Field(default_factory=list)
    image: str = ""
    environment: str = ""
    python: str = ""
    packages: list[str] = Field(default_factory=list)
    notice: str = ""
    probe: dict[str, Any] | None = None
    probe_is_new: bool = False
    prices: dict[str, Any] = Field(default_factory=dict)
    playbook: str = ""
    prompts: dict[str, str] = Field(default_factory=dict)
    has_answers: bool = True
    kaggle: str = ""
    profile: str = ""
    hardware: list[str] = Field(default_factory=list)
    defects: list[str] = Field(default_factory=list)


class TaskDescribed(Event):
    """The task card: everything the model reads about the task."""

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
    """A new process continues the run. `deadline` is the new one (UTC, ISO), if hours are limited."""

    kind: Literal["resumed"] = "resumed"
    audience: Audience = "people"
    harness_version: str
    torn: bool = False
    deadline: str | None = None


class EndpointProbed(Event):
    """What a few cheap calls showed of the endpoint, one line per finding, and `when` (UTC, ISO).

    `calls` and `cost` (dollars) are what the probe took, if it was made for this run.
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
    """Something the run's owner should know; it changes nothing by itself."""

    kind: Literal["warned"] = "warned"
    audience: Audience = "people"
    message: str


# ------------------------------------------------------------------------------------------------ attempts and turns


class EndpointChanged(Event):
    """The run continues at another endpoint: at a new address after a resume, or at its fallback (`why`).

    `endpoint` names its table in config.toml, if it has one; `probe`, `prices` and `profile` are as in `RunCreated`.
    """

    kind: Literal["endpoint_changed"] = "endpoint_changed"
    audience: Audience = "people"
    base_url: str
    model: str
    endpoint: str = ""
    key_variable: str = ""
    why: str = ""
    probe: dict[str, Any] | None = None
    prices: dict[str, Any] = Field(default_factory=dict)
    profile: str = ""


class ModelAsked(Event):
    """A request is sent. `request` counts from 1; `messages` and `size` (bytes) describe it, `digest` is the sha256
    of the message bytes, and `breach` is true if they do not extend the last request's. `reused` is the length of the
    common prefix with the request before, across epochs too (-1: not known)."""

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

    `calls` are to be performed; `message` is the assistant message as JSON text, whose bytes go back to the endpoint
    unchanged. `raw` keeps what arrived where it had to be repaired. `dialect` is the syntax of calls that came as text,
    `unread_dialect` the one whose marks stand in a text without a call.
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
    dialect: str = ""
    unread_dialect: str = ""


class ModelFailed(Event):
    """A request failed; it is retried in `again_in` seconds (None: it is not). `cost` estimates what may have to be
    paid for it, beyond what earlier events hold. `is_refusal`: it ended in a refusal that the window may have caused.
    """

    kind: Literal["model_failed"] = "model_failed"
    audience: Audience = "people"
    request: int
    error: str
    again_in: float | None = None
    cost: float = 0.0
    is_refusal: bool = False


class Reminded(Event):
    """What the harness said after a reply without a usable call. `call`, where set, is the id of a marked call that is
    added to that reply, so that the text is its result; otherwise it is a user message."""

    kind: Literal["reminded"] = "reminded"
    text: str
    call: str = ""


# ------------------------------------------------------------------------------------------------------------- jobs


class JobFinished(Event):
    """A job has ended. `ended`: exited, timeout, idle, output, memory, disk, killed, lost. `cpu_seconds` is what its
    processes used of the processors (None: not known), `peak_bytes` the most memory (0: not known), `gpu_percent` the
    mean use of the GPUs it saw and `gpu_bytes` the most memory in use there (None, 0: no GPU, or not asked)."""

    kind: Literal["job_finished"] = "job_finished"
    job: str
    ended: str
    exit_code: int | None = None
    seconds: float = 0.0
    output_bytes: int = 0
    cpu_seconds: float | None = None
    peak_bytes: int = 0
    gpu_percent: float | None = None
    gpu_bytes: int = 0


class Waited(Event):
    """A heartbeat during a long wait, so that a crash does not lose the clock; or the end of a wait for a lease, which
    took `seconds`. `request`, where set, is the request that is sent again now."""

    kind: Literal["waited"] = "waited"
    audience: Audience = "people"
    on: str
    request: int = 0
    seconds: float = 0.0


class UnknownEvent(Event):
    """An event that a newer version wrote: kept, shown, and otherwise ignored."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


AnyEvent = Annotated[
    RunCreated | TaskDescribed | ThresholdsKnown | Resumed | EpochStarted | Paused | RunEnded | Warned | AttemptStarted
    | AttemptEnded | NotesKept | ModelAsked | ModelReplied | ModelFailed | Reminded | ToolStarted | ToolFinished
    | JobFinished | EndpointProbed | Waited | EvaluationStarted | EvaluationFinished | SubmissionChosen
    | CheckpointTaken | CompactionConsidered | WindowGivenUp | CacheAlarm | PlanMade | FoldStarted | FoldFinished
    | Steered | PlayPaused | PlayContinued | StopAsked | BudgetExtended | RequestRefused | RunForked
    | Decided | EndpointChanged | LanesChanged | MoveChosen | BranchCompared | LessonsChosen | LessonsLearned,
    Field(discriminator="kind"),
]  # fmt: skip

_adapter: TypeAdapter[Event] = TypeAdapter(AnyEvent)


def read_event(fields: dict[str, Any]) -> Event:
    """Turn the fields of one journal line into an event.

    A kind, or a value of a closed set, that this version does not know makes it an `UnknownEvent`. Raises pydantic's
    `ValidationError` where a known kind has fields that do not fit.
    """
    try:
        return _adapter.validate_python(fields)
    except ValidationError as error:
        if all(item["type"] in ("union_tag_invalid", "literal_error") for item in error.errors()):
            return UnknownEvent.model_validate(fields)
        raise
