"""Pause the jobs of a folder, those that start meanwhile included: their processes are stopped and their clocks too.

    JOBS/.pauses/NAME   one file per pause, locked (flock) by the process that asked for it
    JOBS/ID/paused      written by the job's runner: seconds it was paused before, and since when it is (0: it is not)

The runners pause while a lock is held. The kernel releases the lock when its holder ends, however it ends, so a killed
harness leaves no job stopped. Standard library only: runs inside containers.
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import fcntl
import os
import select
import signal
import time

from sandboxes.jobs.processes import descendants, process_status, send_signal
from sandboxes.jobs.records import write_record

FOLDER = ".pauses"
LOOK_SECONDS = 0.25
"""How often a paused runner looks whether the pause is over, and stops what was continued by others."""
ROUNDS = 100
"""How often processes are stopped again while they start new ones."""


def is_asked_for() -> bool:
    """Whether a living process asks for a pause of the jobs of the current folder."""
    try:
        names = os.listdir(FOLDER)
    except OSError:
        return False
    return any(_is_held(f"{FOLDER}/{name}") for name in names)


def _is_held(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Pauses:
    """The pauses of one job, as its runner applies them."""

    def __init__(self, job: str) -> None:
        self.job, self._total = job, 0.0
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """How long the job was paused up to now."""
        return self._total + (0.0 if self._since is None else time.monotonic() - self._since)

    def apply(self) -> bool:
        """Stop or continue the processes of the job; says whether it is paused now."""
        if is_asked_for():
            stop_all()
            if self._since is None:
                self._since = time.monotonic()
                self._write(time.time())
            return True
        if self._since is not None:
            send_signal(signal.SIGCONT, descendants(os.getpid()))
            self._total, self._since = self.seconds, None
            self._write(0.0)
        return False

    def wait(self, wake: int, killed: str) -> None:
        """Return when there is no pause, or when the file `killed` exists: the job has not started yet."""
        while self.apply() and not os.path.exists(killed):  # noqa: PTH110
            if select.select([wake], [], [], LOOK_SECONDS)[0]:
                os.read(wake, 65536)

    def _write(self, since: float) -> None:
        write_record(f"{self.job}/paused", {"total": round(self._total, 3), "since": since})


def stop_all() -> None:
    """Stop every process below this one that runs, until none is left that does."""
    for _ in range(ROUNDS):
        statuses = {pid: process_status(pid) for pid in descendants(os.getpid())}
        running = {pid for pid, status in statuses.items() if status and status[0] not in "TtZX"}
        if not running:
            return
        send_signal(signal.SIGSTOP, running)
        time.sleep(0.001)
