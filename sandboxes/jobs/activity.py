"""Whether a job does anything, and how much memory and GPU it uses: sampled by its runner every few seconds.

A job is idle while it writes no output, its processes use less than 1 % of a core and no disk, and no GPU is in use.
Standard library only: runs inside containers.
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import os
import resource
import time
from dataclasses import dataclass

from sandboxes.jobs.gpu_use import GpuUse, query_use
from sandboxes.jobs.processes import descendants
from sandboxes.jobs.resource_limits import as_user

FIRST_SECONDS = 1.0
SAMPLE_SECONDS = 5.0
"""Between two samples; a fifth of the idle time where that is shorter."""
BUSY_SHARE = 0.01
"""A job that uses less of one core than this is idle."""
IDLE = (
    "[harness: ended because it was idle for {0:.0f} s: no output, and no use of CPU, GPU or disk. "
    "Does it wait for something that cannot come?]"
)
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What the processes of a job use: CPU seconds so far, bytes read from and written to disks, resident bytes.

    `waits_for_disk`: a process is in an uninterruptible wait.
    """

    cpu: float
    disk: int
    memory: int
    waits_for_disk: bool


class Activity:
    """Samples one job, which may be idle for `idle_seconds`. `user` may read what its processes did on disks."""

    def __init__(self, idle_seconds: float, user: list[int] | None, gpus: GpuUse) -> None:
        self.idle_seconds, self.user, self.gpus = idle_seconds, user, gpus
        self.every = min(SAMPLE_SECONDS, idle_seconds / 5)
        self.peak_bytes = 0
        self.active_at = self.sampled_at = time.monotonic()
        self.next_at = self.sampled_at + min(FIRST_SECONDS, self.every)
        self.last = Usage(0.0, 0, 0, False)
        self.output = 0

    def is_idle(self, output: int) -> bool:
        """Sample if it is time to; says whether the job was idle for `idle_seconds`. `output` counts its bytes."""
        now = time.monotonic()
        if now < self.next_at:
            return False
        usage, seconds = measure(self.user), now - self.sampled_at
        self.peak_bytes = max(self.peak_bytes, usage.memory)
        works = usage.cpu - self.last.cpu >= BUSY_SHARE * seconds or usage.disk > self.last.disk or usage.waits_for_disk
        is_active = output != self.output or (works and not self.gpus.is_asking)
        self.gpus.sample(now)
        self.last, self.output, self.sampled_at, self.next_at = usage, output, now, now + self.every
        if is_active or (now - self.active_at >= self.idle_seconds and any(share for share, _ in query_use())):
            self.active_at = now
        return now - self.active_at >= self.idle_seconds

    def restart(self) -> None:
        """Count from now: the job was paused."""
        self.active_at = self.sampled_at = time.monotonic()

    def peak(self) -> int:
        """The most memory that the job used at a sample, or one of its ended processes at any time."""
        return max(self.peak_bytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)


def measure(user: list[int] | None) -> Usage:
    """The usage of all processes below this one, ended ones included."""
    ended = os.times()
    cpu, disk, memory, waits = ended.children_user + ended.children_system, 0, 0, False
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            cpu += sum(map(int, fields[11:15])) / TICKS
            memory += int(fields[21]) * PAGE
            waits = waits or fields[0] == b"D"
        disk += _disk_bytes(pid, user)
    return Usage(cpu, disk, memory, waits)


def _disk_bytes(pid: int, user: list[int] | None) -> int:
    """Bytes that a process read from and wrote to disks; 0 if that may not be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with as_user(user), open(f"/proc/{pid}/io", "rb") as file:
            counters = dict(line.split(b": ") for line in file.read().splitlines())
        return int(counters[b"read_bytes"]) + int(counters[b"write_bytes"])
    return 0
