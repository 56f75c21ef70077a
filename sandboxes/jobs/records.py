"""The durable records in a job's folder: written to survive a crash and a full disk, and read back.

request.json  what to run, written by the harness
started       the runner that claimed the job: process id, start time, boot; locked while the runner lives
exit.json     how the job ended
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH104, PTH108, PTH116, PTH123
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, Any

from sandboxes.atomic import create_file, write_atomically
from sandboxes.jobs.processes import boot_id, pid_namespace, process_status

if TYPE_CHECKING:
    from collections.abc import Mapping

record_mode = 0o600
"""0640 inside a container: its root writes for a harness that may be another user of the same group."""

EXIT_BYTES = 512
"""Space reserved for an exit record; a typical one takes 130 bytes."""


def write_record(path: str, value: dict[str, Any]) -> None:
    """Write a JSON object atomically.

    Nothing waits for the disk: a record lost in a power cut is recognized by its boot id.
    """
    write_atomically(path, json.dumps(value).encode(), record_mode)


def claim(job: str) -> bool:
    """Create `started` unless it exists. Of several runners exactly one succeeds, also across a crash.

    The file stays locked while this process lives, which is visible in other process id namespaces.
    """
    own = process_status(os.getpid())
    draft = f"{job}/started.{os.getpid()}"
    record = {
        "pid": os.getpid(),
        "start": own[2] if own else 0,
        "boot": boot_id(),
        "at": time.time(),
        "pid_namespace": pid_namespace(),
    }
    handle = create_file(draft, json.dumps(record).encode(), record_mode)
    fcntl.lockf(handle, fcntl.LOCK_EX)
    try:
        os.link(draft, f"{job}/started")
    except FileExistsError:
        return False
    finally:
        os.unlink(draft)
    return True


def reserve_exit(job: str) -> None:
    """Reserve space for the exit record before the job starts, since the job may fill the disk."""
    handle = os.open(f"{job}/.exit", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):
        os.posix_fallocate(handle, 0, EXIT_BYTES)
    os.close(handle)


def write_exit(job: str, record: dict[str, Any]) -> int:
    """Write the exit record into its reserved space, then rename it into place. Returns the open file."""
    text = json.dumps(record).encode()
    handle = os.open(f"{job}/.exit", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, record_mode)
    os.write(handle, text)
    os.ftruncate(handle, len(text))
    os.rename(f"{job}/.exit", f"{job}/exit.json")
    return handle


def loss_reason(started: Mapping[str, Any]) -> str:
    """Why the runner that wrote `started` is gone; empty while it lives."""
    if started["boot"] != boot_id():
        return "the machine was restarted while it ran"
    status = process_status(started["pid"])
    if status is None or status[2] != started["start"] or status[0] in "ZX":
        return f"its runner (process {started['pid']}) was killed from outside, or the machine ran out of memory"
    return ""


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether the runner that claimed the job still holds its lock, in whichever container it runs."""
    with open(path, "rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """A record; None if it is missing, or was left empty by a power cut."""
    try:
        with open(path, "rb") as file:
            value: dict[str, Any] = json.loads(file.read())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value


def size_of(path: str | os.PathLike[str]) -> int:
    """Size in bytes; 0 if the file is missing."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
