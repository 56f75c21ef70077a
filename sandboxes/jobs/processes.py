"""Process information from /proc, and the process tree of a job. Standard library only: runs inside containers."""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import signal
import time

LIBC = ctypes.CDLL(None)
KILL_SECONDS = 10.0
QUIET_SECONDS, BUSY_SECONDS = 0.01, 0.5
"""How long processes in the background may go on after their command: if none of them can run, and if one can."""
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


def set_process_option(option: int, value: int) -> None:
    """Call prctl(2) with one of the PR_SET options."""
    LIBC.prctl(option, value, 0, 0, 0)


@functools.cache
def boot_id() -> str:
    """Identifies this boot of the machine; process ids of another boot mean nothing."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


@functools.cache
def pid_namespace() -> str:
    """Identifies the process id namespace; each container has its own."""
    return os.readlink("/proc/self/ns/pid")


def process_status(pid: int) -> tuple[str, int, int] | None:
    """State letter, parent and start time (clock ticks since boot) of a process; None if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[19])


def descendants(ancestor: int) -> set[int]:
    """All processes below this one, zombies included: other threads may run on after the first has ended."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        status = process_status(int(name)) if name.isdigit() else None
        if status:
            children.setdefault(status[1], []).append(int(name))
    below: set[int] = set()
    todo = [ancestor]
    while todo:
        own = children.get(todo.pop(), [])
        below.update(own)
        todo.extend(own)
    return below


def _any_runs() -> bool:
    """Whether a process below this one runs, waits for a processor or for the disk."""
    found = map(process_status, descendants(os.getpid()))
    return any(status[0] in "RD" for status in found if status)


def send_signal(number: signal.Signals, pids: set[int]) -> None:
    """Signal all of them; ignore those that have ended."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


class ProcessTree:
    """A command and all its descendants. This process must be their subreaper, so that it inherits every orphan."""

    def __init__(self, main: int) -> None:
        self.main = main
        self.status: int | None = None

    def reap(self) -> bool:
        """Collect ended children; says whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main:
                self.status = status

    def kill(self, wake: int) -> tuple[int, int]:
        """Kill all of them: the number killed, and the number still alive after `KILL_SECONDS`.

        `wake` becomes readable when a child ends.
        """
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        self._await_natural_end(wake)
        while self.reap():
            stopped = self._stop_all(deadline)
            send_signal(signal.SIGKILL, stopped)
            killed |= stopped
            if time.monotonic() > deadline:
                return len(killed), len(descendants(os.getpid()))
            time.sleep(0.001)
        return len(killed), 0

    def _await_natural_end(self, wake: int) -> None:
        """Give processes that are about to end 10 ms, and longer while one of them waits for a processor.

        A shell does not wait for the `cat` of `>(cat)`, which on a busy machine has not run yet.
        """
        began = time.monotonic()
        while self.status is not None and self.reap():
            passed = time.monotonic() - began
            if passed > BUSY_SECONDS or (passed > QUIET_SECONDS and not _any_runs()):
                return
            if select.select([wake], [], [], 0.001 if passed < QUIET_SECONDS else QUIET_SECONDS)[0]:
                os.read(wake, 65536)

    def _stop_all(self, deadline: float) -> set[int]:
        """Stop every descendant before any is killed, so that none forks meanwhile."""
        stopped: set[int] = set()
        while fresh := descendants(os.getpid()) - stopped:
            send_signal(signal.SIGSTOP, fresh)
            stopped |= fresh
            if time.monotonic() > deadline:
                break
        return stopped
