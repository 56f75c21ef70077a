"""What a sandbox is: a place in which every command is a job that outlives the harness.

    SandboxError            the sandbox, not the command, failed
    ├── SandboxUnavailable  this kind cannot work here: the message says what to install or choose
    ├── SandboxFailed       it worked before and does not now; the run is resumable
    └── PathRefused         a path that leaves the workspace, is no regular file, or is too large

A command's own failure is a result (`JobStatus`), never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol


class SandboxError(Exception):
    """The sandbox failed, not the command in it."""


class SandboxUnavailable(SandboxError):
    """This kind of sandbox cannot work on this machine; the message says what to do."""


class SandboxFailed(SandboxError):
    """The sandbox stopped working; the run can be resumed once it does again."""


class PathRefused(SandboxError):
    """A path leaves the workspace, is not a regular file, or holds more than may be read."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one job. Seconds and bytes; None means unbounded.

    `memory_bytes` and `file_bytes` hold for each process and each file. A job is ended when the disk of its workspace
    has fewer than `free_bytes` left, since what the harness has to write down comes first; and when the workspace holds
    more than `workspace_bytes`, unless the job is about to make room.
    """

    wall_seconds: float = 3600.0
    output_bytes: int = 20_000_000
    memory_bytes: int | None = None
    file_bytes: int | None = 20_000_000_000
    processes: int | None = None
    free_bytes: int = 500_000_000
    workspace_bytes: int | None = 100_000_000_000


@dataclass(frozen=True)
class SandboxPaths:
    """Where a sandbox's jobs work, as host paths.

    `workspace` is their working directory, writable; `data` is shown read-only at `./data`; `jobs` holds one
    folder per job (`<id>/log`, control records), is never writable for the agent, and is shared by all sandboxes
    of a run, so that job ids are unique in it. The log of a job can be read inside at `.jobs/<id>/log`.
    `hidden` are packages' answer files to mask, as paths relative to site-packages. `models` is a folder of
    pretrained weights, shown read-only at `/models`. `image`, `gpus` (device ids) and `runtime` are for containers.
    """

    workspace: Path
    data: Path
    jobs: Path
    home: Path
    models: Path | None = None
    hidden: tuple[str, ...] = ()
    image: str = ""
    gpus: tuple[str, ...] = ()
    runtime: str = ""


@dataclass(frozen=True)
class JobRequest:
    """One command (a line for `bash -c`) to run under an id that the caller chose and recorded."""

    id: str
    command: str
    limits: Limits = Limits()
    environment: Mapping[str, str] = field(default_factory=dict)


JobState = Literal["unknown", "running", "finished", "lost"]
Ended = Literal["", "exited", "timeout", "output", "memory", "disk", "killed", "lost"]


@dataclass(frozen=True)
class JobStatus:
    """A job as it stands. `unknown`: never started here. `lost`: it was started, left no exit record and is gone.

    `exit_code` is that of the command, 128+n for signal n. `output_bytes` counts what it wrote, `kept_bytes` what
    is in `log`; they differ where output passed the cap. `why` explains `lost`. `survivors` are processes of an ended
    job that could not be killed.
    """

    id: str
    state: JobState
    ended: Ended = ""
    exit_code: int | None = None
    seconds: float = 0.0
    output_bytes: int = 0
    kept_bytes: int = 0
    log: Path | None = None
    why: str = ""
    survivors: int = 0


@dataclass(frozen=True)
class Isolation:
    """What a kind of sandbox enforces, for the doctor, the report and the *labels unprotected* mark."""

    network: bool
    files: bool
    processes: bool
    memory: bool
    protects_labels: bool
    notice: str


class Sandbox(Protocol):
    """Start a job, look at it, kill it, move files in and out: the whole interface."""

    kind: str
    isolation: Isolation
    paths: SandboxPaths

    def start(self, request: JobRequest) -> None:
        """Start a job; starting an id that was started before does nothing."""

    def status(self, job: str) -> JobStatus:
        """The job as it stands now."""

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """Return as soon as one of the jobs is not running, or after `seconds`; the views of all of them."""

    def kill(self, job: str) -> JobStatus:
        """Kill the job and every process it left behind; returns when none is alive."""

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset`; negative offsets count from the end."""

    def read(self, path: str, limit: int = 100_000_000) -> bytes:
        """A regular file of the workspace or of `./data`, no link followed. Raises `PathRefused`, FileNotFoundError."""

    def open(self, path: str, limit: int = 100_000_000) -> IO[bytes]:
        """The same file to be read piece by piece. Raises the same."""

    def write(self, path: str, content: bytes) -> None:
        """Replace a file of the workspace whole, making its folders. Raises `PathRefused`."""

    def packages(self) -> tuple[str, ...]:
        """Names and versions of the packages installed for the agent."""

    def close(self) -> None:
        """Let go. Jobs that run go on; what no job needs any more is taken away."""


PIECE_BYTES = 1 << 18


def log_of(sandbox: Sandbox, job: str) -> Iterator[bytes]:
    """The job's log as it is now, piece by piece: it may be large."""
    offset = 0
    while piece := sandbox.output(job, offset, PIECE_BYTES):
        yield piece
        offset += len(piece)


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of a file, piece by piece."""
    while piece := file.read(PIECE_BYTES):
        yield piece
