"""The runner of one job: runs the command, copies its output, enforces its limits and writes the exit record.

Each job has its own runner process, which depends on no other process once it is forked (`supervisor.py`). It is the
subreaper of its command: it inherits every orphan, so no process of the job stays alive. Standard library only. All
paths are relative to the jobs folder, the runner's working directory.
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH110, PTH116

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import resource
import select
import signal
import time
from typing import Any

from sandboxes.jobs.activity import IDLE, Activity
from sandboxes.jobs.gpu_use import GpuUse
from sandboxes.jobs.output_log import OutputLog, open_log
from sandboxes.jobs.pause import LOOK_SECONDS as PAUSE_LOOK_SECONDS
from sandboxes.jobs.pause import Pauses
from sandboxes.jobs.processes import PR_SET_CHILD_SUBREAPER, ProcessTree, set_process_option
from sandboxes.jobs.records import claim, reserve_exit, write_exit
from sandboxes.jobs.resource_limits import DiskLimits, oom_kills
from sandboxes.jobs.start_command import start_command

FLOOD = 20
"""A job is killed when its output is this many times its limit ..."""
FLOOD_FLOOR = 64_000_000
"""... but not before it has written this many bytes, since reading them costs next to nothing."""
PIPE_BYTES = 1 << 20


def run_job(job: str, request: dict[str, Any]) -> None:
    """Run one job, from its claim to its exit record. Does nothing if another runner has claimed it."""
    wake = _wake_on_signals()
    if not claim(job):
        return
    began = time.monotonic()
    reserve_exit(job)
    output = OutputLog(open_log(job), request["limits"]["output_bytes"])
    record: dict[str, Any] = {"ended": "killed", "exit_code": 137, "killed": 0, "survivors": 0}
    pauses = Pauses(job)
    pauses.wait(wake, f"{job}/kill")
    if not os.path.exists(f"{job}/kill"):
        record = _run_command(job, request, output, wake, pauses)
    record["kept_bytes"], record["output_bytes"] = output.finish(), output.seen
    record["seconds"] = round(time.monotonic() - began - pauses.seconds, 4)
    handle = write_exit(job, record)
    notify(".done", b".")
    os.fsync(handle)


def notify(fifo: str, message: bytes) -> bool:
    """Write to a FIFO if a process reads it; says whether one does."""
    try:
        handle = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.write(handle, message)
    os.close(handle)
    return True


def _wake_on_signals() -> int:
    """A pipe that becomes readable when a child ends or this process gets SIGTERM."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return reader


def _run_command(job: str, request: dict[str, Any], output: OutputLog, wake: int, pauses: Pauses) -> dict[str, Any]:
    """Run the command until none of its processes is left; returns the exit record."""
    set_process_option(PR_SET_CHILD_SUBREAPER, 1)
    oom_before = oom_kills()
    pipe, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(pipe, False)
    tree = ProcessTree(start_command(request, writer))
    os.close(writer)
    user = request.get("user") if os.geteuid() == 0 else None
    gpus = GpuUse(request["environment"].get("CUDA_VISIBLE_DEVICES"))
    activity = Activity(request["limits"].get("idle_seconds") or math.inf, user, gpus)
    ended = _watch(job, tree, output, pipe, wake, request, pauses, activity)
    gpus.close()
    killed, survivors = tree.kill(wake)
    output.read_pipe(pipe)
    code = 137 if tree.status is None else os.waitstatus_to_exitcode(tree.status)
    code = code if code >= 0 else 128 - code
    oom = oom_kills() - oom_before
    if ended == "exited" and code == 137 and oom:
        ended = "memory"
    peak = activity.peak()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of all processes of the job, since they were reaped here
    return {
        "ended": ended,
        "exit_code": code,
        "killed": killed,
        "survivors": survivors,
        "oom_kills": oom,
        "peak_bytes": peak,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "gpu_percent": gpus.share,
        "gpu_bytes": gpus.peak_bytes,
    }


def _watch(
    job: str,
    tree: ProcessTree,
    output: OutputLog,
    pipe: int,
    wake: int,
    request: dict[str, Any],
    pauses: Pauses,
    activity: Activity,
) -> str:
    """Copy output until the command ends, passes a limit or is to be killed; returns the reason."""
    wall, disk = request["limits"]["wall_seconds"], DiskLimits(request)
    deadline = math.inf if wall is None else time.monotonic() - pauses.seconds + wall
    flood = max(output.limit * FLOOD, FLOOD_FLOOR)
    sources = [pipe, wake]
    while True:
        is_paused = pauses.apply()
        left = deadline + pauses.seconds - time.monotonic()
        pause = min(disk.pause, max(0.0, left), PAUSE_LOOK_SECONDS if is_paused else math.inf)
        ready = select.select(sources, [], [], pause)[0]
        if pipe in ready and not output.read_pipe(pipe, rounds=1):
            sources = [wake]
        if wake in ready:
            os.read(wake, 65536)
            tree.reap()
        if tree.status is not None:
            return "exited"
        if time.monotonic() >= deadline + pauses.seconds:
            return "timeout"
        if is_paused:
            activity.restart()
        elif activity.is_idle(output.seen):
            output.last_line = IDLE.format(activity.idle_seconds)
            return "idle"
        if output.seen > flood:
            return "output"
        if message := disk.check():
            output.last_line = message
            return "disk"
        if os.path.exists(f"{job}/kill") or os.stat(".").st_nlink == 0:
            return "killed"
