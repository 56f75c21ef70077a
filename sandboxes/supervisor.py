"""The resident helper of one jobs folder: it starts each requested job once, in a keeper of its own.

Run by the base interpreter with `-I -S`, it imports the standard library, `keeper.py` and `processes.py` only, so it
goes on whatever becomes of the harness. One process serves a folder (a lock says so); it leaves when nobody has asked
for anything for a while, and its keepers need it no more than the harness.

    JOBS/.requests      FIFO: one job id a line; an empty line asks to look for all requests that were not started
    JOBS/.done          FIFO: a byte for each job that ended, if anybody reads it
    JOBS/.logs/ID/log   the output; the one folder an agent may see
    JOBS/ID/            request.json (the harness), started and exit.json (the keeper), log (link), kill (the harness)
"""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH103, PTH110, PTH116, PTH208

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import time
import traceback

from sandboxes.keeper import keep, poke, write_record


def is_waiting(job: str) -> bool:
    """Whether a job was asked for and never started."""
    return "/" not in job and os.path.exists(f"{job}/request.json") and not os.path.exists(f"{job}/started")


def start(job: str, inherited: tuple[int, ...]) -> None:
    """Fork the keeper of a job that was asked for and not yet started."""
    if not is_waiting(job) or os.fork():
        return
    try:
        for handle in inherited:
            os.close(handle)
        os.setsid()
        keep(job)
    except BaseException:
        with contextlib.suppress(OSError):
            why = "its keeper failed: " + traceback.format_exc(limit=-1)
            write_record(f"{job}/exit.json", {"ended": "lost", "why": why})
    os._exit(0)


def start_all(inherited: tuple[int, ...]) -> None:
    for name in sorted(os.listdir(".")):
        if not name.startswith("."):
            start(name, inherited)


def lock_folder() -> int | None:
    """The lock of this folder; None when another process serves it."""
    lock = os.open(".supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(500):  # one that is about to leave holds the lock a little longer than the FIFO
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if poke(".requests", b"\n"):
                return None
            time.sleep(0.01)
        else:
            os.ftruncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
            return lock
    return None


def serve(lock: int, idle_seconds: float) -> None:
    """Start what is asked for until nobody has asked for long, or the folder is gone."""
    while True:
        fifo = os.open(".requests", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        start_all((fifo, lock))
        unread = listen(fifo, lock, idle_seconds)
        os.close(fifo)
        waiting = any(is_waiting(name) for name in os.listdir("."))
        if unread or not waiting:  # whoever asks from here on finds no reader, and starts a new supervisor
            return


def listen(fifo: int, lock: int, idle_seconds: float) -> bool:
    """Serve requests as they come; True when the folder is gone."""
    buffer = b""
    last = time.monotonic()
    while os.stat(".").st_nlink:
        if select.select([fifo], [], [], min(idle_seconds, 10.0))[0]:
            *jobs, buffer = (buffer + os.read(fifo, 65536)).split(b"\n")
            for job in jobs:
                start(job.decode(), (fifo, lock)) if job else start_all((fifo, lock))
            last = time.monotonic()
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
