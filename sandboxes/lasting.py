"""Records of a job that outlast whoever wrote them, a crash, and a disk that the job has filled."""

# pathlib costs a fork server memory and time that it need not have.
# ruff: noqa: PTH104
from __future__ import annotations

import contextlib
import json
import os
from typing import Any

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
