"""The sandbox interface. A sandbox runs commands as jobs, and jobs outlive the harness.

    SandboxError            the sandbox failed, not the command in it
    ├── SandboxUnavailable  this kind does not work on this machine; the message says what to install or choose
    ├── SandboxFailed       it worked before and fails now; the run can be resumed
    └── PathRefused         a path leaves the workspace, is not a regular file, or is too large

A failed command is a result (`JobStatus`), never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol


class SandboxError(Exception):
    """The sandbox failed, not the command in it."""


class SandboxUnavailable(SandboxError):
    """This kind of sandbox cannot work on this machine; the message says what to do."""


class SandboxFailed(SandboxError):
    """The sandbox stopped working; the run can be resumed once it works again."""


class PathRefused(SandboxError):
    """A path leaves the workspace, is not a regular file, or is too large."""


@dataclass(frozen=True)
class Limits:
    """Limits of one job, in seconds and bytes. None means unlimited.

    `memory_bytes` applies to each process, `file_bytes` to each file. A job is ended when its disk has less than
    `free_bytes` left, so that the harness can still write its records. It is also ended when the workspace holds more
    than `workspace_bytes`, unless the job is deleting files. A job that does nothing for `idle_seconds` is ended: it
    writes no output and uses no CPU, GPU or disk.
    """

    wall_seconds: float = 3600.0
    output_bytes: int = 20_000_000
    memory_bytes: int | None = None
    file_bytes: int | None = 20_000_000_000
    processes: int | None = None
    free_bytes: int = 500_000_000
    workspace_bytes: int | None = 100_000_000_000
    idle_seconds: float | None = None


@dataclass(frozen=True)
class SandboxPaths:
    """Host paths and container options of a sandbox.

    `workspace`: working directory of the jobs, writable.
    `data`: visible read-only as `./data`.
    `jobs`: one folder per job, shared by all sandboxes of a run so that job ids are unique in it. The agent cannot
    write to it; it reads a job's log as `.jobs/<id>/log`.
    `models`: folder of pretrained weights, visible read-only as `/models`.
    `hidden`: answer files of packages to mask, relative to site-packages.
    `locks`: whether file locks work. Where they do nothing, files that several sandboxes see carry no message.
    `environment`: prefix of the Python environment on this machine; None means the harness's own packages, or those of
    the image. `gpus`: the ids of the devices that jobs may use.
    `image`, `runtime`, `memory` (bytes; 0: all that the machine can spare): for containers.
    """

    workspace: Path
    data: Path
    jobs: Path
    home: Path
    models: Path | None = None
    hidden: tuple[str, ...] = ()
    locks: bool = True
    environment: Path | None = None
    image: str = ""
    gpus: tuple[str, ...] = ()
    runtime: str = ""
    memory: int = 0


@dataclass(frozen=True)
class JobRequest:
    """A command for `bash -c`, and the id under which the caller recorded it.

    `cores` is how many its container may use from now on, where the sandbox has containers (None: as before).
    """

    id: str
    command: str
    limits: Limits = Limits()
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: int | None = None


JobState = Literal["unknown", "running", "finished", "lost"]
EndReason = Literal["", "exited", "timeout", "idle", "output", "memory", "disk", "killed", "lost"]


@dataclass(frozen=True)
class JobStatus:
    """The current status of a job. `unknown`: never started here. `lost`: started, but gone without an exit record.

    `exit_code` is that of the command, 128+n for signal n. `output_bytes` counts all output, `kept_bytes` the part in
    `log`; they differ when the output passed its limit. `why` explains `lost`. `survivors` counts processes of an ended
    job that could not be killed, `killed` those that its command left in the background and that were ended.
    `seconds` do not count pauses. `peak_bytes` is the most memory of an ended job (0: not measured), `cpu_seconds` what
    all its processes used of the processors, `gpu_percent` the mean use of the GPUs that it saw and `gpu_bytes` the
    most memory in use there, where these are known; a job of less than 15 s asks no GPU.
    """

    id: str
    state: JobState
    ended: EndReason = ""
    exit_code: int | None = None
    seconds: float = 0.0
    output_bytes: int = 0
    kept_bytes: int = 0
    log: Path | None = None
    why: str = ""
    survivors: int = 0
    killed: int = 0
    is_paused: bool = False
    peak_bytes: int = 0
    cpu_seconds: float | None = None
    gpu_percent: float | None = None
    gpu_bytes: int = 0

    def summary(self) -> str:
        """How the job stands, in a few words."""
        if self.state == "running":
            return f"running for {self.seconds:.0f} s" + (" (paused now)" if self.is_paused else "")
        if self.state == "lost":
            return f"lost: {self.why}"
        if self.ended == "exited":
            return f"exit {self.exit_code} after {self.seconds:.1f} s"
        reasons = {
            "timeout": "its time was over",
            "idle": "it was idle (no output, and no use of CPU, GPU or disk; its log ends with how long)",
            "output": f"it wrote {self.output_bytes} bytes",
            "disk": "it filled the disk (its log ends with the limit it passed)",
        }
        if self.ended in reasons:
            return f"killed after {self.seconds:.1f} s: {reasons[self.ended]}"
        return f"{self.ended or self.state} after {self.seconds:.1f} s"


@dataclass(frozen=True)
class Isolation:
    """What a kind of sandbox enforces: shown by the doctor and the report, source of the *labels unprotected* mark."""

    network: bool
    files: bool
    processes: bool
    memory: bool
    protects_labels: bool
    notice: str


class Sandbox(Protocol):
    """Start a job, get its status, kill it, move files in and out."""

    kind: str
    isolation: Isolation
    paths: SandboxPaths

    def start(self, request: JobRequest) -> None:
        """Start a job. An id that was started before is not started again."""

    def status(self, job: str) -> JobStatus:
        """The current status of the job."""

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """Return when one of the jobs is not running, or after `seconds`: the status of each job."""

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it started; returns when none is alive."""

    def paused(self, running: Sequence[str]) -> AbstractContextManager[list[str]]:
        """Pause all jobs that share this sandbox's folder of jobs, those that start meanwhile included.

        Their clocks stand still. The pause ends with the block, or with this process. Gives those of the jobs `running`
        that could not be paused.
        """

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset`; negative offsets count from the end."""

    def read(self, path: str, limit: int = 100_000_000) -> bytes:
        """Read a regular file of the workspace or `./data`; links are not followed.

        Raises `PathRefused`, FileNotFoundError.
        """

    def open(self, path: str, limit: int = 100_000_000) -> IO[bytes]:
        """Open a file under the same rules, to read it in chunks. Raises the same errors."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of the workspace; missing folders are made. Raises `PathRefused`."""

    def python(self) -> str:
        """The version of the agent's Python."""

    def packages(self) -> tuple[str, ...]:
        """Names and versions of the packages installed for the agent."""

    def environment_id(self) -> str:
        """What tells this environment from others: it changes with what is installed."""

    def close(self) -> None:
        """Free resources that no running job needs. Running jobs continue."""


_BACKGROUND = re.compile(r"(?<![&>|<])&(?![&>\d])|\b(?:nohup|setsid|disown)\b")


def asks_for_background(command: str) -> bool:
    """Whether a command seems to start processes in the background on purpose, unlike a library that leaves workers."""
    return _BACKGROUND.search(command) is not None


def background_note(count: str) -> str:
    """What the agent reads when its command left processes in the background, which end with their job."""
    return (
        f"[{count} left in the background: ended with this command. To start a background job, call bash with its "
        "command alone, without & and nohup, and with wait_seconds 0]"
    )


CHUNK_BYTES = 1 << 18


def read_log(sandbox: Sandbox, job: str) -> Iterator[bytes]:
    """The job's current log in chunks, since it may be large."""
    offset = 0
    while chunk := sandbox.output(job, offset, CHUNK_BYTES):
        yield chunk
        offset += len(chunk)


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of an open file in chunks."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
