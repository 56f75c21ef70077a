"""What a tool is, and what it may use. Each module of this package holds one family of tools.

A tool is one `Tool` in the `TOOLS` of a module here, plus its description in `context/prompts/tools.md`. Before a tool
acts, its start is recorded with the id of its job or the hash of a file. So a resumed run can repeat the call, or see
that it was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict

from context.recall.snippets import Passage
from context.truncation.truncate import truncate_output
from harness.evaluation.steps.declare import StepArguments
from runs.events.registry import ToolStarted
from runs.run_settings import RunSettings
from runs.versions.commits import StoredFile
from sandboxes.base import JobStatus


class Refused(Exception):
    """The tool cannot do what was asked; the message is the tool's result."""


def _without_nul(command: str) -> str:
    """No program can be given a NUL; refused here, it costs no job."""
    if "\0" in command:
        raise ValueError("a command cannot hold a NUL character (\\u0000); write it as an escape, as in printf '\\0'")
    return command


Command = Annotated[str, AfterValidator(_without_nul)]


class Arguments(BaseModel):
    """Arguments of a tool, checked at the border. Names it does not have are ignored; the model is told."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Files(Protocol):
    """The agent's files, through the sandbox: paths that leave the workspace are refused, links are not followed."""

    def read(self, path: str, limit: int = 100_000_000) -> bytes:
        """A regular file of the workspace or of `./data`. Raises `PathRefused`, FileNotFoundError."""

    def open(self, path: str, limit: int = 100_000_000) -> IO[bytes]:
        """The same file, to be read piece by piece. Raises the same."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of the workspace whole, making its folders. Raises `PathRefused`."""


class Jobs(Protocol):
    """Commands in the sandbox. Evaluations can be waited for and killed by their ids too."""

    def start(self, job: str, command: str) -> None:
        """Start a job within the run's limits; starting an id twice starts it once."""

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """Wait until one of the jobs has ended, at most for `seconds` and for the time the run has left."""

    def status(self, job: str) -> JobStatus:
        """The job as it stands now."""

    def kill(self, job: str) -> JobStatus:
        """Kill a job and everything it started."""

    def log(self, job: str) -> Iterator[bytes]:
        """The output so far, piece by piece."""

    def running(self) -> Sequence[str]:
        """Ids of the jobs and evaluations that run."""

    def result(self, job: str) -> str | None:
        """What the model reads of an evaluation now; None for a job."""


class Recall(Protocol):
    """Search over what left the window. `attempt` is the one that asks."""

    def search(self, query: str, tokens: int, attempt: int) -> str:
        """Passages that fit a query."""

    def event(self, seq: int, tokens: int) -> str:
        """One event in full."""

    def path(self, path: str, tokens: int, attempt: int, content: Passage | None) -> str:
        """A file's last content and the calls that named it; `content` is what the latest commit has of it."""


class Evaluated(Protocol):
    """The files of earlier evaluations."""

    def files(self, evaluation: str, path: str = "") -> Iterator[StoredFile]:
        """The files at or below a path. Raises ValueError if there are none."""

    def diff(self, before: str, after: str = "") -> str:
        """The changes between two evaluations, or to the workspace, as a patch. Raises ValueError."""

    def last(self, path: str) -> tuple[str, int, bytes] | None:
        """The latest committed file of that path: evaluation, event number, content."""


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use while it performs one call.

    `started` is what `plan` recorded before the call began. `evaluate` runs an evaluation of the workspace by a
    command, for at most `seconds` (0: the default limit), or by steps, waits for it up to `wait_seconds`, and shows it
    a share of the training rows. `take_checkpoint` records the model's notes. Both return the tool's result.
    """

    call_id: str
    tool_name: str
    job_id: str
    """The id of this call's job, should it start one."""
    started: ToolStarted | None
    settings: RunSettings
    files: Files
    jobs: Jobs
    recall: Recall
    evaluated: Evaluated
    attempt: int
    evaluate: Callable[[str, float, list[StepArguments] | None, float, float], str]
    take_checkpoint: Callable[[list[str], list[str], list[str]], str]

    def start(self, *, job: str = "", before: str = "", after: str = "") -> ToolStarted:
        """The event that puts the start of this call on record."""
        return ToolStarted(call=self.call_id, name=self.tool_name, job=job, before=before, after=after)

    def clipped_log(self, status: JobStatus, tokens: int) -> str:
        """The output of a job as the model sees it."""
        rest = f"all of it: .jobs/{status.id}/log"
        return truncate_output(self.jobs.log(status.id), status.kept_bytes, tokens, rest)


def _plan(context: ToolContext, arguments: Any) -> ToolStarted:
    return context.start()


@dataclass(frozen=True)
class Tool:
    """One tool: its name, how its arguments are checked, how a call is recorded and performed.

    `can_be_undone`: a repaired call may be performed. `shows_effect`: its result shows what was done, so that even an
    ambiguous call may be. See `ToolSpec`.
    """

    name: str
    arguments: type[Arguments]
    act: Callable[[ToolContext, Any], str]
    plan: Callable[[ToolContext, Any], ToolStarted] = _plan
    can_be_undone: bool = True
    shows_effect: bool = False
