"""Records in a job's folder: written so that they survive a crash and a full disk, and read back."""

# pathlib costs a fork server memory and time that it need not have.
# ruff: noqa: PTH104, PTH123, PTH116
from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from sandboxes.jobs.processes import boot_id, process_status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

record_mode = 0o600
"""A container's root writes for a harness that may be another user of the same group."""

EXIT_BYTES = 512
"""Room kept for an exit record; one takes about 130."""


def write_record(path: str, value: dict[str, Any]) -> None:
    """Write a JSON object so that it appears whole.

    Nobody waits for the disk: after a power cut a record may be empty or missing, and the boot tells that its job is
    lost.
    """
    temporary = f"{path}.{os.getpid()}"
    os.close(write_draft(temporary, value))
    os.rename(temporary, path)


def write_draft(path: str, value: dict[str, Any]) -> int:
    """Write a JSON object to a file that nobody looks at yet; returns it open."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, record_mode)
    os.write(handle, json.dumps(value).encode())
    return handle


def reserve_exit(job: str) -> None:
    """Take the room of the exit record before the job starts: the job itself may fill the disk."""
    handle = os.open(f"{job}/.exit", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):
        os.posix_fallocate(handle, 0, EXIT_BYTES)
    os.close(handle)


def write_exit(job: str, record: dict[str, Any]) -> int:
    """Write the exit record into the room kept for it; it appears whole. Returns its open file."""
    text = json.dumps(record).encode()
    handle = os.open(f"{job}/.exit", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(handle, record_mode)
    os.write(handle, text)
    os.ftruncate(handle, len(text))
    os.rename(f"{job}/.exit", f"{job}/exit.json")
    return handle


def why_gone(started: Mapping[str, Any]) -> str:
    """Why the keeper that wrote this record no longer lives; empty while it does."""
    if started["boot"] != boot_id():
        return "the machine was restarted while it ran"
    status = process_status(started["pid"])
    if status is None or status[2] != started["start"] or status[0] in "ZX":
        return f"its keeper (process {started['pid']}) was killed from outside, or the machine ran short of memory"
    return ""


def is_held(path: Path) -> bool:
    """Whether the process that claimed the job still has its lock, in whichever container it is."""
    with open(path, "rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none, or a power cut left it empty."""
    try:
        with open(path, "rb") as file:
            value: dict[str, Any] = json.loads(file.read())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value


def size_of(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
