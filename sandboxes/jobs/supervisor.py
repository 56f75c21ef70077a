"""The resident helper of one jobs folder: it starts each requested job once, in a keeper of its own.

A container has a supervisor of its own, as root of the container and its only process that the agent did not start.
Containers of a run share the folder: each has a name, a FIFO `.requests-NAME`, and starts the jobs that name it.

Run by the base interpreter with `-I -S`, it imports the standard library and five files here only, so it
goes on whatever becomes of the harness. One process serves a folder (a lock says so); it leaves when nobody has asked
for anything for a while, and its keepers need it no more than the harness.

    JOBS/.requests      FIFO: one job id a line, `!` before one that is to be killed; an empty line asks to look for
                        all requests that were not started, `-` to leave
    JOBS/.done          FIFO: a byte for each job that ended, if anybody reads it
    JOBS/.logs/ID/log   the output; the one folder an agent may see
    JOBS/ID/            request.json (the harness), started and exit.json (the keeper), log (link), kill (the harness)
"""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH101, PTH103, PTH110, PTH116, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import json
import os
import select
import signal
import time
import traceback
from typing import Any

from sandboxes.jobs import records, resource_limits
from sandboxes.jobs.processes import boot_id, pids, process_status, send
from sandboxes.jobs.records import write_record
from sandboxes.jobs.runner import PR_SET_CHILD_SUBREAPER, keep, poke, process_control

KEEPERS: set[int] = set()
"""Those that this process started and that may still live."""


def fifo_of(box: str) -> str:
    """The name of the FIFO by which the supervisor of a container, or of this machine (""), is asked."""
    return f".requests-{box}" if box else ".requests"


def waiting(job: str, box: str = "") -> dict[str, Any] | None:
    """The request of a job that was asked for here and never started."""
    if "/" in job or not os.path.exists(f"{job}/request.json"):
        return None
    if os.path.exists(f"{job}/started") or os.path.exists(f"{job}/exit.json"):
        return None
    with contextlib.suppress(OSError, ValueError), open(f"{job}/request.json") as file:  # a power cut may empty one
        request: dict[str, Any] = json.load(file)
        return request if request.get("box", "") == box and request.get("boot") == boot_id() else None
    return None


@functools.lru_cache(8)
def read_base(name: str) -> dict[str, Any]:
    """What the requests of one sandbox share."""
    with open(f".bases/{name}.json") as file:
        base: dict[str, Any] = json.load(file)
    return base


def whole(request: dict[str, Any]) -> dict[str, Any]:
    """The whole request of a job: its own part, and the base it shares with others."""
    base = read_base(request["base"])
    return {**base, "argv": [*base["argv"], request["last"]], "limits": request["limits"]}


def start(job: str, inherited: tuple[int, ...], box: str = "") -> None:
    """Fork the keeper of a job that was asked for and not yet started."""
    request = waiting(job, box)
    if request is None:
        return
    with contextlib.suppress(OSError, ValueError):
        read_base(request["base"])  # for the fork to find it read
    if number := os.fork():
        if box:
            KEEPERS.add(number)
        return
    try:
        for handle in inherited:
            os.close(handle)
        os.setsid()
        keep(job, whole(request))
    except BaseException:
        with contextlib.suppress(OSError):
            why = "its keeper failed: " + traceback.format_exc(limit=-1)
            write_record(f"{job}/exit.json", {"ended": "lost", "why": why})
    os._exit(0)


def start_all(inherited: tuple[int, ...], box: str = "") -> None:
    for name in sorted(os.listdir(".")):
        if not name.startswith("."):
            start(name, inherited, box)


def wake_keeper(job: str) -> None:
    """Let a keeper of ours look whether its job is to be killed; the harness cannot signal into a container."""
    with contextlib.suppress(OSError, ValueError), open(f"{job}/started") as file:
        pid = json.load(file)["pid"]
        if pid in KEEPERS:
            os.kill(pid, signal.SIGTERM)


def tidy() -> bool:
    """Kill what a keeper left that was itself killed; say whether any keeper is left."""
    me = os.getpid()
    mine = {int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == me}
    KEEPERS.intersection_update(mine)
    send(signal.SIGKILL, mine - KEEPERS)
    return bool(KEEPERS)


def _parent(pid: str) -> int:
    status = process_status(int(pid))
    return status[1] if status else 0


def lock_folder(box: str = "") -> int | None:
    """The lock of this folder; None when another process serves it."""
    name = f".supervisor-{box}.lock" if box else ".supervisor.lock"
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(500):  # one that is about to leave holds the lock a little longer than the FIFO
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if poke(fifo_of(box), b"\n"):
                return None
            time.sleep(0.01)
        else:
            os.ftruncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
            return lock
    return None


def serve(lock: int, idle_seconds: float, box: str = "") -> None:
    """Start what is asked for until nobody has asked for long, or the folder is gone."""
    pids(), boot_id()  # known before the first fork: every keeper needs them
    gc.disable()  # a fork shares all that it does not write to, and a collection writes to everything
    gc.freeze()
    while True:
        fifo = os.open(fifo_of(box), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        start_all((fifo, lock), box)
        unread = listen(fifo, lock, idle_seconds, box)
        os.close(fifo)
        if unread or not any(
            waiting(name, box) for name in os.listdir(".")
        ):  # whoever asks from here on finds no reader, and starts a new supervisor
            return


def listen(fifo: int, lock: int, idle_seconds: float, box: str = "") -> bool:
    """Serve requests as they come; True when the folder is gone."""
    buffer = b""
    last = time.monotonic()
    while os.stat(".").st_nlink:
        if select.select([fifo], [], [], min(idle_seconds, 10.0))[0]:
            *jobs, buffer = (buffer + os.read(fifo, 65536)).split(b"\n")
            for job in map(bytes.decode, jobs):
                if job == "-" and not box:
                    return False
                if job.startswith("!"):
                    wake_keeper(job[1:])
                else:
                    start(job, (fifo, lock), box) if job else start_all((fifo, lock), box)
            last = time.monotonic()
        elif box and tidy():
            last = time.monotonic()  # where this process ends, the container does
        elif time.monotonic() - last >= idle_seconds:
            return False
    return True


def main(jobs: str, idle_seconds: float) -> None:
    """Leave the caller's session and serve the folder; returns at once in the caller's child."""
    os.chdir(jobs)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no one to wait for them
    os.makedirs(".logs", exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(".requests", 0o600)
    lock = lock_folder()
    if lock is not None:
        serve(lock, idle_seconds)


def main_of_container(jobs: str, box: str, idle_seconds: float) -> None:
    """Serve the folder in the foreground, for a container that ends with this process.

    The folder above it is closed first: the mode asked for at its mount gives way to that of the image's own folder.
    """
    os.chmod(os.path.dirname(jobs), 0o700)
    os.chdir(jobs)
    os.umask(0o002)
    records.record_mode = 0o640
    resource_limits.ours_alone = True
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    lock = lock_folder(box)
    if lock is not None:
        serve(lock, idle_seconds, box)
