"""What the kernel tells about processes; standard library only, for the keeper of a job uses it too."""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import contextlib
import functools
import os
import signal


@functools.cache
def boot_id() -> str:
    """Names this boot of the machine: process numbers of another one mean nothing."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


@functools.cache
def pids() -> str:
    """Names the process numbers that hold here: a container has its own."""
    return os.readlink("/proc/self/ns/pid")  # noqa: PTH115


def process_status(pid: int) -> tuple[str, int, int] | None:
    """State letter, parent and start time (clock ticks since boot) of a process; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[19])


def descendants(ancestor: int) -> set[int]:
    """Every process below this one; zombies too, for a process may live on after its first thread has ended."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        status = process_status(int(name)) if name.isdigit() else None
        if status:
            children.setdefault(status[1], []).append(int(name))
    found: set[int] = set()
    todo = [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


def send(signal_number: signal.Signals, pids: set[int]) -> None:
    """Signal all of them; who is gone already is passed over."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal_number)
