"""The harness's side of a jobs folder: ask for a job, look at it, wait for it, kill it, read its output.

Nothing is remembered here: a job is what its folder says, so any process that opens the folder finds it again.
The other side, and the layout of the folder, is `supervisor.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandboxes.base import JobStatus, Limits, SandboxFailed
from sandboxes.jobs.processes import boot_id, pids
from sandboxes.jobs.records import is_held, read_record, size_of, why_gone
from sandboxes.jobs.runner import poke
from sandboxes.jobs.supervisor import fifo_of

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
LOOK_SECONDS = 0.5
"""How long a wait trusts that it will be woken, before it looks for itself."""
KILL_SECONDS = 30.0
BOOT = """
import sys
sys.path.append(sys.argv[1])
from sandboxes.jobs.supervisor import main
main(sys.argv[2], float(sys.argv[3]))
"""


@dataclass(frozen=True)
class Command:
    """A command line made ready: what to execute where. `files` are opened for it under fixed, high numbers.

    `cwd` is the workspace. One that `bounds_itself` keeps the limits of its job's processes, ends with its parent, and
    goes to its own folder.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    files: Mapping[int, Path] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    bounds_itself: bool = False


@dataclass(frozen=True)
class Box:
    """A container that serves the jobs that name it: how to start it, and why a job that was in it is gone.

    `shared` where its root is not the harness's user, and both need what the other wrote: their group is the same.
    """

    name: str
    launch: Callable[[], None]
    explain: Callable[[], str]
    shared: bool = False


class Jobs:
    """One jobs folder, served by a supervisor process that this class starts whenever none is there."""

    def __init__(self, folder: Path, idle_seconds: float = 120.0, box: Box | None = None) -> None:
        self.folder = folder.absolute()
        self.idle_seconds = idle_seconds
        self.box = box
        self.logs = self.folder / ".logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        for path in (self.folder, self.logs):
            self._share(path)
        for fifo in {".done", ".requests", fifo_of(box.name if box else "")}:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self.folder / fifo, 0o600)
            self._share(self.folder / fifo)

    # -------------------------------------------------------------------------------------------------------- asking

    def start(self, job: str, command: Command, limits: Limits) -> None:
        """Ask for a job once; a job that was asked for before is only made sure of."""
        folder = self._of(job)
        if not (folder / "request.json").exists():
            folder.mkdir(exist_ok=True)
            self._share(folder)
            *before, last = command.argv
            request = {"base": self._base(command, before), "last": last, "limits": asdict(limits), "boot": boot_id()}
            if self.box:
                request["box"] = self.box.name
            self._put(folder / "request.json", json.dumps(request))
        if not (folder / "started").exists():
            self._wake(job)

    def kill(self, job: str) -> JobStatus:
        """End a job with everything it started; returns its final view. Raises `SandboxFailed` if it will not die."""
        view = self.status(job)
        if view.state != "running":
            return view
        (self._of(job) / "kill").touch(mode=0o600)
        self._signal(job)
        deadline = time.monotonic() + KILL_SECONDS
        while view.state == "running" and time.monotonic() < deadline:
            view = self.wait([job], 0.2)[0]
        if view.state == "running":
            raise SandboxFailed(f"job {job} could not be killed in {KILL_SECONDS:.0f} s; end its processes by hand")
        return view

    # ------------------------------------------------------------------------------------------------------- looking

    def status(self, job: str) -> JobStatus:
        """The job as its folder and the process table show it; a name that no job can have is `unknown`."""
        if not JOB_ID.fullmatch(job):
            return JobStatus(job, "unknown")
        folder = self._of(job)
        if not (folder / "request.json").exists():
            return JobStatus(job, "unknown")
        if ended := self._ended(job):
            return ended
        started = read_record(folder / "started")
        if started is None:
            if (read_record(folder / "request.json") or {}).get("boot") != boot_id():
                return self._lost(job, "the machine was restarted after it was asked for")
            if time.time() - (folder / "request.json").stat().st_mtime > LOOK_SECONDS:
                self._wake(job)  # whoever asked for it died before it woke the supervisor, or the supervisor did
            return JobStatus(job, "running", log=folder / "log")
        why = self._why_gone(job, started)
        if not why:
            size = size_of(folder / "log")
            seconds = max(0.0, time.time() - started["at"])
            return JobStatus(job, "running", "", None, seconds, size, size, folder / "log")
        return self._ended(job) or self._lost(job, why)

    def wait(self, jobs: Sequence[str], seconds: float) -> list[JobStatus]:
        """The views of all of them, as soon as one is not running or the time is over."""
        deadline = time.monotonic() + seconds
        bell = os.open(self.folder / ".done", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            while True:
                views = [self.status(job) for job in jobs]
                left = deadline - time.monotonic()
                if left <= 0 or any(view.state != "running" for view in views):
                    return views
                if select.select([bell], [], [], min(left, LOOK_SECONDS))[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(bell, 65536)
        finally:
            os.close(bell)

    def output(self, job: str, offset: int = 0, limit: int = 1_000_000) -> bytes:
        """Bytes of the job's log from `offset` (from the end where negative); empty when there is none."""
        try:
            with (self._of(job) / "log").open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                log.seek(max(0, size + offset) if offset < 0 else offset)
                return log.read(limit)
        except FileNotFoundError:
            return b""

    def supervisor(self) -> int | None:
        """The process id of the supervisor, if one serves the folder now."""
        try:
            with (self.folder / ".supervisor.lock").open("r+") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
        except BlockingIOError:
            return int((self.folder / ".supervisor.lock").read_text() or 0) or None
        except FileNotFoundError:
            return None

    def dismiss(self) -> None:
        """Let this machine's supervisor leave now; running jobs keep their keepers, the next one starts another."""
        if self.box is None:
            poke(str(self.folder / ".requests"), b"-\n")

    # -------------------------------------------------------------------------------------------------------- inside

    def _base(self, command: Command, before: Sequence[str]) -> str:
        """Put down, once for many jobs, what a request shares with others of its sandbox; returns its name."""
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
        text = json.dumps(base, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = self.folder / ".bases" / f"{name}.json"
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._share(path.parent)
            self._put(path, text)
        return name

    def _share(self, path: Path) -> None:
        """Let the group have what a container's root must use as well."""
        if self.box and self.box.shared:
            mode = path.stat().st_mode
            path.chmod(0o660 if stat.S_ISFIFO(mode) else 0o2775 if path == self.logs else 0o2770)

    def _put(self, path: Path, text: str) -> None:
        """Write a file only the harness may read, and its container; it appears whole."""
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            if self.box and self.box.shared:
                os.fchmod(handle, 0o640)
        temporary.rename(path)

    def _why_gone(self, job: str, started: Mapping[str, Any]) -> str:
        """Why the keeper that wrote this record no longer lives; empty while it does."""
        if started.get("pids", pids()) == pids() or started["boot"] != boot_id():
            return why_gone(started)
        if is_held(self._of(job) / "started"):
            return ""
        own = self.box and self.box.name == self._box_of(job)
        return (self.box.explain() if self.box and own else "") or "its container ended while it ran"

    def limits(self, job: str) -> dict[str, Any]:
        """The bounds a job was asked for with; empty when there is no such job."""
        request = read_record(self._of(job) / "request.json")
        return dict(request["limits"]) if request else {}

    def is_ours(self, job: str) -> bool:
        """Whether a job of this folder is for this sandbox's own supervisor."""
        return self._box_of(job) == (self.box.name if self.box else "")

    def _box_of(self, job: str) -> str:
        request = read_record(self._of(job) / "request.json")
        return str(request.get("box", "")) if request else ""

    def _of(self, job: str) -> Path:
        if not JOB_ID.fullmatch(job):
            raise ValueError(f"not a job id: {job!r}")
        return self.folder / job

    def _ended(self, job: str) -> JobStatus | None:
        folder = self._of(job)
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
        )

    def _lost(self, job: str, why: str) -> JobStatus:
        log = self._of(job) / "log"
        size = size_of(log)
        return JobStatus(job, "lost", "lost", None, 0.0, size, size, log, why)

    def _signal(self, job: str) -> None:
        """Wake the keeper of a job, never another process that has got its number since."""
        started = read_record(self._of(job) / "started")
        if started is None:
            return
        if started.get("pids", pids()) != pids():
            self._wake(f"!{job}")
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(started["pid"])
            try:
                if not why_gone(started):
                    signal.pidfd_send_signal(handle, signal.SIGTERM)
            finally:
                os.close(handle)

    def _wake(self, job: str) -> None:
        """Tell the supervisor whose job it is; where there is none, a new one finds the request by itself."""
        box, own = self._box_of(job.removeprefix("!")), self.box.name if self.box else ""
        try:
            fifo = os.open(self.folder / fifo_of(box), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            if box == own and not job.startswith("!"):
                self.box.launch() if self.box else self._start_supervisor()
            return
        with contextlib.suppress(BlockingIOError):
            os.write(fifo, f"{job}\n".encode())
        os.close(fifo)

    def _start_supervisor(self) -> None:
        # The base interpreter, isolated and without site: an environment that is upgraded meanwhile does not touch it.
        python = str(getattr(sys, "_base_executable", None) or sys.executable)
        argv = [
            python,
            "-I",
            "-S",
            "-c",
            BOOT,
            str(Path(__file__).parents[2]),
            str(self.folder),
            str(self.idle_seconds),
        ]
        log = os.open(self.folder / ".supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            code = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"LANG": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
                timeout=60,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxFailed(f"the supervisor of jobs could not be started: {error}") from error
        finally:
            os.close(log)
        if code:
            raise SandboxFailed(f"the supervisor of jobs ended with code {code}: see {self.folder}/.supervisor.log")
