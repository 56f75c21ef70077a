"""What the records in a job's folder say, and whether the process that wrote one still lives."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandboxes.processes import boot_id, process_status


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
    with path.open("rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None where there is none, or a power cut left it empty."""
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
