"""Limits that a runner checks while its job runs: free disk space, size of the workspace, memory that ran out.

The workspace belongs to hostile code: it may hold millions of files and folders without permissions, and it may change
while it is measured. So the walk runs in small slices, and what cannot be read counts as everything that the disk has
lost since the job started. Standard library only: runs inside containers.
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from sandboxes.jobs.processes import LIBC

FIRST_SECONDS = 1.0
"""The first walk starts this long after the job; most jobs have ended by then and cost nothing."""
SLICE_SECONDS = 0.02
PAUSE_SECONDS = 0.2
"""Between two slices of a walk."""
CHECK_SECONDS = 1.0
"""Between two checks when no walk is under way."""
RECOUNT_SECONDS = 60.0
"""A total is counted again after this time, earlier if the disk fills up."""
REST_FACTOR = 10
"""After a walk, wait at least this many times its duration."""
DISK_FULL = "[harness: ended because the disk of this machine has less than {0:.1f} GB left]"
WORKSPACE_FULL = (
    "[harness: ended because the workspace holds {0:.1f} MB and may hold {1:.1f} MB in all: "
    "remove files that are not needed, then continue]"
)
OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
in_container = False
"""Whether the counters belong to our jobs alone; outside a container they may count the whole machine."""


class DiskLimits:
    """Checks the free space of the disk (`free_bytes`) and the size of the workspace (`workspace_bytes`)."""

    def __init__(self, request: dict[str, Any]) -> None:
        limits = request["limits"]
        self.min_free: int = limits.get("free_bytes", 0)
        self.max_size: int | None = limits.get("workspace_bytes")
        self.folder: str = request["cwd"]
        self.user = request.get("user") if os.geteuid() == 0 else None
        self.free_at_start = self.recount_below = free_bytes(".")
        self.walk: Iterator[None] | None = None
        self.earliest = self.latest = time.monotonic() + FIRST_SECONDS
        self.size, self.is_complete, self.cost = 0, True, 0.0
        self.first_size: int | None = None

    @property
    def pause(self) -> float:
        """Seconds until the next check."""
        return PAUSE_SECONDS if self.walk else CHECK_SECONDS

    def check(self) -> str:
        """Why the job must end now, as a line for its log; empty while it is within its limits."""
        free, now = free_bytes("."), time.monotonic()
        if free < self.min_free:
            return DISK_FULL.format(self.min_free / 1e9)
        if self.max_size is None or now < self.earliest:
            return ""
        if self.walk is None:
            if now < self.latest and free > self.recount_below:
                return ""
            self.size, self.is_complete, self.cost = 0, True, 0.0
            self.walk = self._walk()
        has_ended = self._continue_walk(now)
        return self._compare(free, self.max_size) if has_ended or self.size > self.max_size else ""

    def _continue_walk(self, now: float) -> bool:
        """Walk for `SLICE_SECONDS`; says whether the walk is complete."""
        assert self.walk is not None
        with as_user(self.user):  # root of a container cannot open folders that the agent closed to others
            while time.monotonic() - now < SLICE_SECONDS:
                if next(self.walk, self) is self:
                    self.walk = None
                    break
        self.cost += time.monotonic() - now
        self.earliest = time.monotonic() + (PAUSE_SECONDS / 2 if self.walk else REST_FACTOR * self.cost)
        return self.walk is None

    def _compare(self, free: int, max_size: int) -> str:
        """Compare the size with its limit. A job that only deletes files in a full workspace may continue."""
        lost = self.free_at_start - free
        size = self.size if self.is_complete else self.size + max(0, lost)
        self.latest = self.earliest + RECOUNT_SECONDS
        self.recount_below = free - max(0, max_size - size) // 2
        if self.first_size is None and self.walk is None:
            self.first_size = size
        grows = lost > 0 or size > (size if self.first_size is None else self.first_size)
        return WORKSPACE_FULL.format(size / 1e6, max_size / 1e6) if size > max_size and grows else ""

    def _walk(self) -> Iterator[None]:
        """Add up the disk space of the workspace, one entry per step. Hard links to one file count once."""
        todo, linked = [self.folder], set()
        while todo:
            folder = todo.pop()
            with self._tolerate_errors(), os.scandir(folder) as entries:
                for entry in entries:
                    if folder == self.folder and entry.name in ("data", ".jobs"):
                        continue  # mount points of the sandbox
                    with self._tolerate_errors():
                        status = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                        elif status.st_nlink > 1:
                            if status.st_ino in linked:
                                continue
                            linked.add(status.st_ino)
                        self.size += status.st_blocks * 512
                    yield
            yield

    @contextlib.contextmanager
    def _tolerate_errors(self) -> Iterator[None]:
        """Ignore entries that were removed meanwhile; record that an entry could not be read."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError:
            self.is_complete = False


@contextlib.contextmanager
def as_user(user: list[int] | None) -> Iterator[None]:
    """Access files with another user's rights; which processes may signal this one does not change."""
    if user:
        LIBC.setfsgid(user[1])
        LIBC.setfsuid(user[0])
    try:
        yield
    finally:
        if user:
            LIBC.setfsuid(os.geteuid())
            LIBC.setfsgid(os.getegid())


def free_bytes(folder: str) -> int:
    """Free space on the disk of a folder. The jobs folder is on the same disk as the workspace."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def oom_kills() -> int:
    """How many processes the kernel has killed in this container for lack of memory; 0 outside a container."""
    for path in OOM_COUNTERS if in_container else ():
        with contextlib.suppress(OSError), open(path) as file:
            counters = dict(line.split()[:2] for line in file if " " in line)
            return int(counters.get("oom_kill", 0))
    return 0
