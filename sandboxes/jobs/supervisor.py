"""The supervisor of one jobs folder: a resident process that starts each requested job once, in its own runner.

A container has its own supervisor, root of the container. Containers of one run share the jobs folder: each has a name
and a FIFO `.requests-NAME`, and starts only the jobs that name it.

The base interpreter starts the supervisor with `-I -S`. It imports only the standard library and the modules of this
package that run inside containers, so upgrades of the harness do not affect it. A lock ensures one process per folder.
It exits after a while without requests; runners do not depend on it.

    JOBS/.requests      FIFO, one line each: a job id to start, `!ID` to kill a job, an empty line to look for all
                        requests that were not started, `-` to exit
    JOBS/.done          FIFO: one byte per ended job, if a process reads it
    JOBS/.bases/        the parts of requests that many jobs share
    JOBS/.logs/ID/log   the output; the only folder an agent can read
    JOBS/ID/            request.json and kill (written by the harness), started, exit.json and log (by the runner)
"""

# A runner process is forked for every job; pathlib would double what it loads:
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
from sandboxes.jobs.processes import (
    PR_SET_CHILD_SUBREAPER,
    boot_id,
    pid_namespace,
    process_status,
    send_signal,
    set_process_option,
)
from sandboxes.jobs.records import write_record
from sandboxes.jobs.runner import notify, run_job

RUNNERS: set[int] = set()
"""Runners that this process started in its container and that may still live."""


def requests_fifo(container: str) -> str:
    """Name of the FIFO for requests to the supervisor of a container, or of this machine ("")."""
    return f".requests-{container}" if container else ".requests"


def main(jobs: str, idle_seconds: float) -> None:
    """Serve a jobs folder of this machine in a new session; returns at once in the caller's process."""
    os.chdir(jobs)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # runners need not be waited for
    os.makedirs(".logs", exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(".requests", 0o600)
    lock = lock_folder()
    if lock is not None:
        serve(lock, idle_seconds)


def container_main(jobs: str, container: str, idle_seconds: float) -> None:
    """Serve the folder in the foreground of a container, which ends with this process.

    The parent folder is closed to others first: the image's own folder can override the requested mode of the mount.
    """
    os.chmod(os.path.dirname(jobs), 0o700)
    os.chdir(jobs)
    os.umask(0o002)
    records.record_mode = 0o640
    resource_limits.in_container = True
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    lock = lock_folder(container)
    if lock is not None:
        serve(lock, idle_seconds, container)


def lock_folder(container: str = "") -> int | None:
    """The lock of this folder; None if another process serves it."""
    name = f".supervisor-{container}.lock" if container else ".supervisor.lock"
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(500):  # a supervisor that exits closes its FIFO shortly before it releases the lock
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if notify(requests_fifo(container), b"\n"):
                return None
            time.sleep(0.01)
        else:
            os.ftruncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
            return lock
    return None


def serve(lock: int, idle_seconds: float, container: str = "") -> None:
    """Start requested jobs until there is no request for `idle_seconds`, or the folder is removed."""
    pid_namespace(), boot_id()  # cached before the first fork, since every runner needs them
    gc.disable()  # a fork shares the memory it does not write to, and a collection writes to everything
    gc.freeze()
    while True:
        fifo = os.open(requests_fifo(container), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        start_all((fifo, lock), container)
        is_removed = listen(fifo, lock, idle_seconds, container)
        os.close(fifo)
        # A later request finds no reader and starts a new supervisor.
        if is_removed or not any(pending_request(name, container) for name in os.listdir(".")):
            return


def listen(fifo: int, lock: int, idle_seconds: float, container: str = "") -> bool:
    """Serve requests as they arrive. True if the folder was removed, False if it is time to exit."""
    buffer = b""
    last = time.monotonic()
    while os.stat(".").st_nlink:
        if select.select([fifo], [], [], min(idle_seconds, 10.0))[0]:
            *lines, buffer = (buffer + os.read(fifo, 65536)).split(b"\n")
            for line in map(bytes.decode, lines):
                if line == "-" and not container:
                    return False
                _serve_line(line, (fifo, lock), container)
            last = time.monotonic()
        elif container and kill_orphans():
            last = time.monotonic()  # the container ends with this process, so it stays while a job runs
        elif time.monotonic() - last >= idle_seconds:
            return False
    return True


def _serve_line(line: str, inherited: tuple[int, ...], container: str) -> None:
    if line.startswith("!"):
        wake_runner(line[1:])
    elif line:
        start(line, inherited, container)
    else:
        start_all(inherited, container)


def start_all(inherited: tuple[int, ...], container: str = "") -> None:
    """Start every job that was requested and not started."""
    for name in sorted(os.listdir(".")):
        if not name.startswith("."):
            start(name, inherited, container)


def start(job: str, inherited: tuple[int, ...], container: str = "") -> None:
    """Fork the runner of a job that was requested and not started."""
    request = pending_request(job, container)
    if request is None:
        return
    with contextlib.suppress(OSError, ValueError):
        read_base(request["base"])  # cached before the fork
    if pid := os.fork():
        if container:
            RUNNERS.add(pid)
        return
    try:
        for handle in inherited:
            os.close(handle)
        os.setsid()
        run_job(job, complete_request(request))
    except BaseException:
        with contextlib.suppress(OSError):
            why = "its runner failed: " + traceback.format_exc(limit=-1)
            write_record(f"{job}/exit.json", {"ended": "lost", "why": why})
    os._exit(0)


def pending_request(job: str, container: str = "") -> dict[str, Any] | None:
    """The request of a job that this supervisor has to start; None for any other name."""
    if "/" in job or not os.path.exists(f"{job}/request.json"):
        return None
    if os.path.exists(f"{job}/started") or os.path.exists(f"{job}/exit.json"):
        return None
    with contextlib.suppress(OSError, ValueError), open(f"{job}/request.json") as file:  # a power cut may empty it
        request: dict[str, Any] = json.load(file)
        return request if request.get("container", "") == container and request.get("boot") == boot_id() else None
    return None


@functools.lru_cache(8)
def read_base(name: str) -> dict[str, Any]:
    """The part of a request that the jobs of one sandbox share."""
    with open(f".bases/{name}.json") as file:
        base: dict[str, Any] = json.load(file)
    return base


def complete_request(request: dict[str, Any]) -> dict[str, Any]:
    """A job's request merged with its shared part."""
    base = read_base(request["base"])
    return {**base, "argv": [*base["argv"], request["last"]], "limits": request["limits"]}


def wake_runner(job: str) -> None:
    """Make a runner check whether its job is to be killed; the harness cannot send signals into a container."""
    with contextlib.suppress(OSError, ValueError), open(f"{job}/started") as file:
        pid = json.load(file)["pid"]
        if pid in RUNNERS:
            os.kill(pid, signal.SIGTERM)


def kill_orphans() -> bool:
    """Kill the processes that a killed runner left behind; says whether any runner is alive."""
    own_pid = os.getpid()
    children = {int(name) for name in os.listdir("/proc") if name.isdigit() and _parent_of(name) == own_pid}
    RUNNERS.intersection_update(children)
    send_signal(signal.SIGKILL, children - RUNNERS)
    return bool(RUNNERS)


def _parent_of(pid: str) -> int:
    status = process_status(int(pid))
    return status[1] if status else 0
