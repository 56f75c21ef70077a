"""The harness's side of a jobs folder: start a job, get its status, wait for it, kill it, read its output.

Nothing is kept in memory: a job is what its folder says, so any process that opens the folder finds it again. The other
side, and the layout of the folder, is `supervisor.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import select
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandboxes.atomic import write_atomically
from sandboxes.base import JobStatus, Limits, SandboxFailed
from sandboxes.cache import short_hash
from sandboxes.jobs import pause
from sandboxes.jobs.processes import boot_id, pid_namespace
from sandboxes.jobs.records import is_locked, loss_reason, read_record, size_of
from sandboxes.jobs.runner import notify
from sandboxes.jobs.start_supervisor import start_supervisor
from sandboxes.jobs.supervisor import requests_fifo

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
POLL_SECONDS = 0.5
"""How long a wait relies on being woken before it checks the status itself."""
KILL_SECONDS = 30.0
PAUSE_SECONDS = 10.0
"""How long a pause waits for the runners of jobs."""


@dataclass(frozen=True)
class Command:
    """A complete command line. `files` are opened for it under fixed, high numbers. `cwd` is the workspace.

    A command that `bounds_itself` sets the limits of its processes, ends with its parent and changes to its folder.
    Without `locks`, file locks of a command that runs as `user` do nothing.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    files: Mapping[int, Path] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    bounds_itself: bool = False
    locks: bool = True


@dataclass(frozen=True)
class Container:
    """A container whose supervisor serves the jobs that name it.

    `launch` makes sure that it runs; `explain` says why a job in it is gone. `is_shared` if its root and the harness
    are different users of one group, and each must read what the other writes.
    """

    name: str
    launch: Callable[[], None]
    explain: Callable[[], str]
    is_shared: bool = False


class Jobs:
    """One jobs folder. Starts a supervisor whenever the folder needs one and none is running."""

    def __init__(self, folder: Path, idle_seconds: float = 120.0, container: Container | None = None) -> None:
        self.folder = folder.absolute()
        self.idle_seconds = idle_seconds
        self.container = container
        self.logs = self.folder / ".logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        for path in (self.folder, self.logs):
            self._share(path)
        for fifo in {".done", ".requests", requests_fifo(self._container_name)}:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self.folder / fifo, 0o600)
            self._share(self.folder / fifo)

    def start(self, job: str, command: Command, limits: Limits) -> None:
        """Request a job once. If it was requested before, only make sure that it starts."""
        folder = self._folder_of(job)
        if not (folder / "request.json").exists():
            folder.mkdir(exist_ok=True)
            self._share(folder)
            *before, last = command.argv
            base = self._write_base(command, before)
            request = {"base": base, "last": last, "limits": asdict(limits), "boot": boot_id()}
            if self.container:
                request["container"] = self.container.name
            self._write(folder / "request.json", json.dumps(request))
        if not (folder / "started").exists():
            self._wake_supervisor(job)

    def kill(self, job: str) -> JobStatus:
        """Kill a job and all its processes; returns its final status. Raises `SandboxFailed` if it does not end."""
        status = self.status(job)
        if status.state != "running":
            return status
        (self._folder_of(job) / "kill").touch(mode=0o600)
        self._wake_runner(job)
        deadline = time.monotonic() + KILL_SECONDS
        while status.state == "running" and time.monotonic() < deadline:
            status = self.wait([job], 0.2)[0]
        if status.state == "running":
            raise SandboxFailed(f"job {job} could not be killed in {KILL_SECONDS:.0f} s; kill its processes by hand")
        return status

    def status(self, job: str) -> JobStatus:
        """The job's status by its folder and the process table; `unknown` for a name that is not a job id."""
        if not JOB_ID.fullmatch(job):
            return JobStatus(job, "unknown")
        folder = self._folder_of(job)
        if not (folder / "request.json").exists():
            return JobStatus(job, "unknown")
        if ended := self._ended(job):
            return ended
        started = read_record(folder / "started")
        if started is None:
            return self._not_started(job)
        if why := self._loss_reason(job, started):
            return self._ended(job) or self._lost(job, why)  # it may have ended since the first look
        size = size_of(folder / "log")
        paused = read_record(folder / "paused") or {"total": 0.0, "since": 0.0}
        stopped = paused["total"] + (time.time() - paused["since"] if paused["since"] else 0.0)
        seconds = max(0.0, time.time() - started["at"] - stopped)
        is_paused = bool(paused["since"])
        return JobStatus(job, "running", "", None, seconds, size, size, folder / "log", is_paused=is_paused)

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """The status of each job, as soon as one is not running or the time is over."""
        deadline = time.monotonic() + seconds
        done = os.open(self.folder / ".done", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                statuses = [self.status(job) for job in jobs]
                left = deadline - time.monotonic()
                if left <= 0 or any(status.state != "running" for status in statuses):
                    return statuses
                if select.select([done], [], [], min(left, POLL_SECONDS))[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(done, 65536)
        finally:
            os.close(done)

    @contextmanager
    def paused(self, running: Sequence[str]) -> Iterator[list[str]]:
        """Pause all jobs of the folder; gives those of `running` that go on (see `pause.py`)."""
        folder = self.folder / pause.FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._share(folder)
        path = folder / secrets.token_hex(8)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            for job in running:
                self._wake_runner(job)
            yield self._await_pause(running)
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)

    def _await_pause(self, running: Sequence[str]) -> list[str]:
        deadline, left = time.monotonic() + PAUSE_SECONDS, list(running)
        while left and time.monotonic() < deadline:
            statuses = [self.status(job) for job in left]
            left = [status.id for status in statuses if status.state == "running" and not status.is_paused]
            time.sleep(0.02 if left else 0.0)
        return left

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset` (from the end if negative); empty if there is no log."""
        try:
            with (self._folder_of(job) / "log").open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                log.seek(max(0, size + offset) if offset < 0 else offset)
                return log.read(limit)
        except FileNotFoundError:
            return b""

    def limits(self, job: str) -> dict[str, Any]:
        """The limits a job was requested with; empty if there is no such job."""
        request = read_record(self._folder_of(job) / "request.json")
        return dict(request["limits"]) if request else {}

    def running(self) -> list[str]:
        """The jobs of the folder that run now."""
        jobs = sorted(path.parent.name for path in self.folder.glob("[!.]*/request.json"))
        return [job for job in jobs if self.status(job).state == "running"]

    def is_own(self, job: str) -> bool:
        """Whether a job of this folder belongs to this sandbox's own supervisor."""
        return self._container_of(job) == self._container_name

    def stop_supervisor(self) -> None:
        """Make this machine's supervisor exit. Running jobs continue; the next job starts a new supervisor."""
        if self.container is None:
            notify(str(self.folder / ".requests"), b"-\n")

    # ------------------------------------------------------------------------------------------------------- requests

    def _write_base(self, command: Command, before: Sequence[str]) -> str:
        """Write the part of a request that all jobs of a sandbox share, once; returns its name."""
        base: dict[str, Any] = {
            "argv": list(before),
            "cwd": str(command.cwd),
            "environment": dict(command.environment),
            "files": {str(number): str(path) for number, path in command.files.items()},
        }
        if command.user:
            base["user"] = list(command.user)
        if command.bounds_itself:
            base["bounds_itself"] = True
        if not command.locks:
            base["locks"] = False
        text = json.dumps(base, sort_keys=True)
        name = short_hash(text)
        path = self.folder / ".bases" / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._share(path.parent)
            self._write(path, text)
        return name

    def _write(self, path: Path, text: str) -> None:
        """Write a file that only the harness, and the root of its container, can read."""
        write_atomically(path, text.encode(), 0o640 if self.container and self.container.is_shared else 0o600)

    def _share(self, path: Path) -> None:
        """Give the group access to what root of a container must use too."""
        if self.container and self.container.is_shared:
            mode = path.stat().st_mode
            path.chmod(0o660 if stat.S_ISFIFO(mode) else 0o2775 if path == self.logs else 0o2770)

    @property
    def _container_name(self) -> str:
        return self.container.name if self.container else ""

    def _container_of(self, job: str) -> str:
        request = read_record(self._folder_of(job) / "request.json")
        return str(request.get("container", "")) if request else ""

    def _folder_of(self, job: str) -> Path:
        if not JOB_ID.fullmatch(job):
            raise ValueError(f"not a job id: {job!r}")
        return self.folder / job

    # --------------------------------------------------------------------------------------------------------- status

    def _not_started(self, job: str) -> JobStatus:
        request = self._folder_of(job) / "request.json"
        if (read_record(request) or {}).get("boot") != boot_id():
            return self._lost(job, "the machine was restarted after the job was requested")
        if time.time() - request.stat().st_mtime > POLL_SECONDS:
            self._wake_supervisor(job)  # the requester died before it woke the supervisor, or the supervisor died
        return JobStatus(job, "running", log=self._folder_of(job) / "log")

    def _ended(self, job: str) -> JobStatus | None:
        folder = self._folder_of(job)
        record = read_record(folder / "exit.json")
        if record is None:
            return None
        if record["ended"] == "lost":
            return self._lost(job, record["why"])
        return JobStatus(
            job,
            "finished",
            record["ended"],
            record["exit_code"],
            record["seconds"],
            record["output_bytes"],
            record["kept_bytes"],
            folder / "log",
            survivors=record.get("survivors", 0),
            killed=record.get("killed", 0),
            peak_bytes=record.get("peak_bytes", 0),
            cpu_seconds=record.get("cpu_seconds"),
            gpu_percent=record.get("gpu_percent"),
            gpu_bytes=record.get("gpu_bytes", 0),
        )

    def _lost(self, job: str, why: str) -> JobStatus:
        log = self._folder_of(job) / "log"
        size = size_of(log)
        return JobStatus(job, "lost", "lost", None, 0.0, size, size, log, why)

    def _loss_reason(self, job: str, started: Mapping[str, Any]) -> str:
        """Why the runner that wrote `started` is gone; empty while it lives."""
        if started.get("pid_namespace", pid_namespace()) == pid_namespace() or started["boot"] != boot_id():
            return loss_reason(started)
        if is_locked(self._folder_of(job) / "started"):
            return ""
        explanation = self.container.explain() if self.container and self.is_own(job) else ""
        return explanation or "its container ended while it ran"

    # ------------------------------------------------------------------------------------------------------ processes

    def _wake_runner(self, job: str) -> None:
        """Make the runner of a job look for `kill`; never signals another process that reused its process id."""
        started = read_record(self._folder_of(job) / "started")
        if started is None:
            return
        if started.get("pid_namespace", pid_namespace()) != pid_namespace():
            self._wake_supervisor(f"!{job}")
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(started["pid"])
            try:
                if not loss_reason(started):
                    signal.pidfd_send_signal(handle, signal.SIGTERM)
            finally:
                os.close(handle)

    def _wake_supervisor(self, line: str) -> None:
        """Send a line to the job's supervisor. If there is none, a new one is started and finds the request."""
        container = self._container_of(line.removeprefix("!"))
        try:
            fifo = os.open(self.folder / requests_fifo(container), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fifo, f"{line}\n".encode())
            finally:
                os.close(fifo)
        except BlockingIOError:  # full of requests: each makes it look
            return
        except OSError:  # it has ended, or does so while it is asked
            if container == self._container_name and not line.startswith("!"):
                self.container.launch() if self.container else start_supervisor(self.folder, self.idle_seconds)
