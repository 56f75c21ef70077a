"""What a keeper measures while its job runs: the disk, what the workspace holds, memory that ran out.

Standard library only. The workspace belongs to hostile code: it may hold millions of files, folders that nobody may
open, and change while it is looked at. So it is walked a little at a time, and what cannot be seen counts as all that
the disk has lost meanwhile.
"""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from typing import Any

LIBC = ctypes.CDLL(None)
FIRST_SECONDS = 1.0
"""Most jobs have ended by then, and cost nothing."""
SLICE_SECONDS = 0.02
PAUSE_SECONDS = 0.2
"""Between two slices of a walk; without one, a keeper looks up each second."""
REGULAR_SECONDS = 60.0
"""How long a count is believed where the disk does not shrink."""
REST = 10
"""A walk is followed by a rest of so many times its own cost at least."""
FULL = "[harness: ended, for the disk of this machine has less than {0:.1f} GB left]"
GROWN = (
    "[harness: ended, for the workspace holds {0:.1f} MB and may hold {1:.1f} MB in all: "
    "remove files that are not needed, then go on]"
)
COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
ours_alone = False
"""Whether these count for our jobs alone, as in a container of ours; elsewhere they may be the whole machine's."""


class Space:
    """Holds a job to the disk: what must stay free on it, and what its workspace may hold in all."""

    def __init__(self, request: dict[str, Any]) -> None:
        limits = request["limits"]
        self.floor: int = limits.get("free_bytes", 0)
        self.cap: int | None = limits.get("workspace_bytes")
        self.folder: str = request["cwd"]
        self.user = request.get("user") if os.geteuid() == 0 else None
        self.at_start = self.trigger = free_bytes(".")
        self.walk: Iterator[None] | None = None
        self.soonest = self.latest = time.monotonic() + FIRST_SECONDS
        self.held, self.is_seen, self.cost = 0, True, 0.0
        self.first: int | None = None

    @property
    def pause(self) -> float:
        """How soon to ask for a complaint again."""
        return PAUSE_SECONDS if self.walk else 1.0

    def complaint(self) -> str:
        """Why the job must end now, in a line for whoever reads its log; empty while all is well."""
        free, now = free_bytes("."), time.monotonic()
        if free < self.floor:
            return FULL.format(self.floor / 1e9)
        if self.cap is None or now < self.soonest:
            return ""
        if self.walk is None:
            if now < self.latest and free > self.trigger:
                return ""
            self.held, self.is_seen, self.cost = 0, True, 0.0
            self.walk = self._walk()
        return self._judge(free, self.cap) if self._is_walked(now) or self.held > self.cap else ""

    def _is_walked(self, now: float) -> bool:
        assert self.walk is not None
        with as_user(self.user):  # a container's root may not open what the agent closed to others
            while time.monotonic() - now < SLICE_SECONDS:
                if next(self.walk, self) is self:
                    self.walk = None
                    break
        self.cost += time.monotonic() - now
        self.soonest = time.monotonic() + (PAUSE_SECONDS / 2 if self.walk else REST * self.cost)
        return self.walk is None

    def _judge(self, free: int, cap: int) -> str:
        """A job that only makes room in a workspace that is too full is let be."""
        lost = self.at_start - free
        held = self.held if self.is_seen else self.held + max(0, lost)
        self.latest = self.soonest + REGULAR_SECONDS
        self.trigger = free - max(0, cap - held) // 2
        if self.first is None and self.walk is None:
            self.first = held
        grows = lost > 0 or held > (held if self.first is None else self.first)
        return GROWN.format(held / 1e6, cap / 1e6) if held > cap and grows else ""

    def _walk(self) -> Iterator[None]:
        """Add up what the workspace takes of the disk, an entry at each step; links to one file count once."""
        todo, linked = [self.folder], set()
        while todo:
            folder = todo.pop()
            with self._bearing(), os.scandir(folder) as entries:
                for entry in entries:
                    if folder == self.folder and entry.name in ("data", ".jobs"):
                        continue  # mount points of the sandbox
                    with self._bearing():
                        found = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(entry.path)
                        elif found.st_nlink > 1:
                            if found.st_ino in linked:
                                continue
                            linked.add(found.st_ino)
                        self.held += found.st_blocks * 512
                    yield
            yield

    @contextlib.contextmanager
    def _bearing(self) -> Iterator[None]:
        """What was removed meanwhile is nothing; what cannot be looked at is remembered as such."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError:
            self.is_seen = False


@contextlib.contextmanager
def as_user(user: list[int] | None) -> Iterator[None]:
    """Look at files with another user's rights; who may signal this process stays as it is."""
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
    """What is left on the disk of a folder; that of the jobs is that of the run and its workspace."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def memory_kills() -> int:
    """How many processes the kernel has killed here for want of memory; 0 where others' would be counted as well."""
    for path in COUNTERS if ours_alone else ():
        with contextlib.suppress(OSError), open(path) as file:
            found = dict(line.split()[:2] for line in file if " " in line)
            return int(found.get("oom_kill", 0))
    return 0
