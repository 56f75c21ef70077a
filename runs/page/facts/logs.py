"""Read the output of jobs from the run folder: a page of it, or its end."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PAGE_BYTES = 200_000
TAIL_BYTES = 6_000
PLACES = ("jobs/{}/log", "fold_jobs/*/*/{}/log")
"""Patterns of the outputs of jobs below a run folder: those of other folds stand apart from the agent's."""


@dataclass(frozen=True)
class LogPage:
    """A part of an output, from byte `first` to `last` of `size`."""

    text: str
    first: int
    last: int
    size: int


def read_log(folder: Path, job: str, first: int = 0, count: int = PAGE_BYTES) -> LogPage | None:
    """A page of a job's output; None if there is none. A negative `first` counts from the end."""
    file = open_log(_path_of(folder, job))
    if file is None:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size + first if first < 0 else min(first, size))
        file.seek(start)
        content = file.read(count)
    return LogPage(content.decode("utf-8", "replace"), start, start + len(content), size)


def all_logs(folder: Path) -> list[tuple[str, Path]]:
    """The name of each job with output, and where that is, in the order of the names."""
    return sorted((path.parent.name, path) for pattern in PLACES for path in folder.glob(pattern.format("*")))


def open_log(path: Path | None) -> BinaryIO | None:
    """The file of an output; None if it cannot be read.

    Links are not followed: in a sandbox that does not isolate, the agent could have put one there.
    """
    with suppress(OSError):
        if path:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    return None


def _path_of(folder: Path, job: str) -> Path | None:
    if not re.fullmatch(r"[\w.-]{1,200}", job) or job.startswith("."):
        return None
    return next((path for pattern in PLACES for path in folder.glob(pattern.format(job))), None)


def tail_of_log(folder: Path, job: str) -> str:
    """The end of a job's output; empty if there is none."""
    page = read_log(folder, job, -TAIL_BYTES, TAIL_BYTES)
    return page.text if page else ""
