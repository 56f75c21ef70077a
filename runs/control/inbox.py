"""The inbox of a run: other processes put requests there, and the process that plays the run takes them.

A request is a file `TIME-ACTION-RANDOM.json`. Its name is the id under which an event of the run answers it. Only
regular files of the run's owner count, at most 16 kB each; links are not followed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs.control.requests import MAX_BYTES, Request, parse_request
from runs.files import replace_file

INBOX = "inbox"
MOST = 50
"""Requests that are read at once."""


@dataclass(frozen=True)
class Received:
    """A file of the inbox: the request in it, or what is wrong with it. `id` is the file's name."""

    id: str
    request: Request | None
    problem: str = ""


def put(folder: Path, request: Request) -> str:
    """Put a request into the inbox of a run; returns its id. Raises OSError."""
    name = f"{time.time_ns():020d}-{request.action}-{secrets.token_hex(4)}.json"
    replace_file(folder / INBOX / name, request.model_dump_json(exclude_defaults=False).encode())
    return name


def is_waiting(folder: Path, request: str) -> bool:
    """Whether nobody has taken a request yet."""
    return (folder / INBOX / request).exists()


def withdraw(folder: Path, request: str) -> bool:
    """Remove a request that nobody has taken; whether it was still there."""
    try:
        (folder / INBOX / request).unlink()
    except FileNotFoundError:
        return False
    return True


def received(folder: Path) -> list[Received]:
    """What the inbox of a run holds, oldest first. Nothing is removed; see `remove`."""
    try:
        names = sorted(path.name for path in (folder / INBOX).iterdir() if not path.name.startswith("."))[:MOST]
        owner = folder.stat().st_uid
    except OSError:
        return []
    return list(_read_all(folder / INBOX, names, owner)) if names else []


def remove(folder: Path, request: str) -> None:
    """Remove a request that was taken. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        (folder / INBOX / request).unlink()


def _read_all(inbox: Path, names: list[str], owner: int) -> Iterator[Received]:
    try:
        directory = os.open(inbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in names:
            found = _read(directory, name, owner)
            if found is None:
                continue
            yield Received(name, None, found) if isinstance(found, str) else Received(name, found)
    finally:
        os.close(directory)


def _read(directory: int, name: str, owner: int) -> Request | str | None:
    """The request in a file, or what is wrong with it; None if it is gone."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be opened ({error.strerror})"
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            return "it is not a regular file"
        if status.st_uid != owner:
            return "it belongs to another user than the run"
        return parse_request(os.read(handle, MAX_BYTES + 1))
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    finally:
        os.close(handle)
