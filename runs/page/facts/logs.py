"""The output of jobs, which stands in the run folder: a page of it, or its end."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = 200_000
TAIL_BYTES = 6_000
FOLDERS = ("jobs", "fold_jobs")


@dataclass(frozen=True)
class LogPage:
    """A part of an output, from byte `first` to `last` of `size`."""

    text: str
    first: int
    last: int
    size: int


def read_log(folder: Path, job: str, first: int = 0, count: int = PAGE_BYTES) -> LogPage | None:
    """A page of a job's output; None if there is none. A negative `first` counts from the end.

    Links are not followed: in a sandbox that does not isolate, the agent could have put one there.
    """
    if not re.fullmatch(r"[\w.-]{1,200}", job) or job.startswith("."):
        return None
    for parent in FOLDERS:
        try:
            handle = os.open(folder / parent / job / "log", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(handle).st_size
            start = max(0, size + first if first < 0 else min(first, size))
            file.seek(start)
            content = file.read(count)
        return LogPage(content.decode("utf-8", "replace"), start, start + len(content), size)
    return None


def tail_of_log(folder: Path, job: str) -> str:
    """The end of a job's output; empty if there is none."""
    page = read_log(folder, job, -TAIL_BYTES, TAIL_BYTES)
    return page.text if page else ""
