"""The keeper of one job: it runs the command, copies its output, holds its limits and writes down how it ended.

It is a process of its own and needs nobody once it is forked (`supervisor.py`). As the subreaper of its command it
inherits every orphan below it, and so can leave none alive. Standard library only; all paths are relative to the
jobs folder, which is its working directory.
"""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH102, PTH108, PTH110, PTH116, PTH123

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import time
from typing import Any

from sandboxes.jobs.processes import boot_id, descendants, pids, process_status, send
from sandboxes.jobs.records import reserve_exit, write_draft, write_exit
from sandboxes.jobs.resource_limits import LIBC, Space, memory_kills
from sandboxes.seccomp import hold, make_filter

TAIL_BYTES = 65536
"""What is kept of the end of an output that passed its cap."""
FLOOD = 20
"""A job is killed when it has written this many times its cap."""
FLOOD_FLOOR = 64_000_000
"""… but not before it has written this much: draining it costs next to nothing."""
KILL_SECONDS = 10.0
BUFFER_BYTES = 1 << 18
DEFAULTS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM)
"""Signals that this process treats in its own way, and the command must not."""
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

# ------------------------------------------------------------------------------------------------------- small helpers


def poke(fifo: str, message: bytes) -> bool:
    """Write to a FIFO if somebody reads it; say whether somebody does."""
    try:
        handle = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.write(handle, message)
    os.close(handle)
    return True


def process_control(option: int, value: int) -> None:
    LIBC.prctl(option, value, 0, 0, 0)


# -------------------------------------------------------------------------------------------------------------- keeper


class Output:
    """Copies a job's output to its log up to a cap; past it, counts, and keeps the end."""

    def __init__(self, log: int, cap: int) -> None:
        self.log, self.cap = log, cap
        self.seen = self.written = 0
        self.end = bytearray()
        self.last_line = ""
        self.buffer = memoryview(bytearray(BUFFER_BYTES))

    def put(self, data: bytes | bytearray | memoryview) -> int:
        """Write to the log; a full disk ends the log, not the job."""
        done = 0
        with contextlib.suppress(OSError):
            while done < len(data):
                done += os.write(self.log, data[done:])
        return done

    def take(self, chunk: memoryview) -> None:
        self.seen += len(chunk)
        room = min(self.cap - self.written, len(chunk))
        done = self.put(chunk[:room]) if room else 0
        self.written += done
        if done < len(chunk):
            if not self.end:
                self.cap = self.written
                self.put(b"\n[harness: the log is full here; the rest is counted, and its end kept]\n")
            self.end += chunk[max(done, len(chunk) - TAIL_BYTES) :]
            del self.end[:-TAIL_BYTES]

    def finish(self) -> int:
        """Write the end and the last line that says what was cut; returns the bytes of output kept."""
        kept = self.written + len(self.end)
        if self.end:
            cut = self.seen - kept
            self.put(f"[harness: {cut} bytes are missing here]\n".encode() if cut else b"")
            self.put(self.end)
            self.put(f"\n[harness: the output was cut: {kept} of {self.seen} bytes are kept]\n".encode())
        if self.last_line:
            self.put(f"\n{self.last_line}\n".encode())
        return kept


class Family:
    """The command and all that descends from it; as their subreaper this process inherits every orphan."""

    def __init__(self, main: int) -> None:
        self.main = main
        self.status: int | None = None

    def reap(self) -> bool:
        """Collect who ended; say whether any child is left at all."""
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
        """Kill all of them: how many were killed, and how many could not be within some seconds.

        `wake` can be read when a child has ended.
        """
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        me = os.getpid()
        for _ in range(10):  # what is about to end by itself costs no search through all processes
            if self.status is None or not self.reap():
                break
            if select.select([wake], [], [], 0.001)[0]:
                os.read(wake, 65536)
        while self.reap():
            stopped: set[int] = set()
            while fresh := descendants(me) - stopped:  # stop all first: nobody forks while we count
                send(signal.SIGSTOP, fresh)
                stopped |= fresh
                if time.monotonic() > deadline:
                    break
            send(signal.SIGKILL, stopped)
            killed |= stopped
            if time.monotonic() > deadline:
                return len(killed), len(descendants(me))
            time.sleep(0.001)
        return len(killed), 0


def launch(request: dict[str, Any], output: int) -> int:
    """Start the command as a child; its number.

    One that bounds itself needs no copy of this process to become it, which halves what starting it costs.
    """
    if request.get("bounds_itself"):
        null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        copies = [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)]
        opened = [(os.POSIX_SPAWN_OPEN, int(number), path, os.O_RDONLY, 0) for number, path in request["files"].items()]
        with contextlib.suppress(OSError, ValueError):  # a copy of this process will say in the log what is wrong
            return os.posix_spawn(
                request["argv"][0],
                request["argv"],
                request["environment"],
                file_actions=[null, *copies, *opened],
                setsid=True,
                setsigdef=DEFAULTS,
            )
    main = os.fork()
    if main == 0:
        run_command(request, output)
    return main


def run_command(request: dict[str, Any], output: int) -> None:
    """In the forked child: become the command. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        if not request.get("user"):
            process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number, path in request["files"].items():
            os.dup2(os.open(path, os.O_RDONLY), int(number))
        set_limits(request["limits"])
        if request.get("user"):
            become(*request["user"])
        os.chdir(request["cwd"])
        for number in DEFAULTS:
            signal.signal(number, signal.SIG_DFL)
        os.execve(request["argv"][0], request["argv"], request["environment"])
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"harness: the command could not be started: {error}\n".encode(errors="replace"))
    os._exit(127)


def become(user: int, group: int) -> None:
    """Give up what this process may do: in a container, its keeper may still signal and change users."""
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    process_control(PR_SET_NO_NEW_PRIVS, 1)
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user forgets it
    if program := make_filter():
        hold(LIBC, program)


def set_limits(limits: dict[str, Any]) -> None:
    """Bounds that the kernel holds for each process of the job; the agent cannot raise them again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, name in ((resource.RLIMIT_AS, "memory_bytes"), (resource.RLIMIT_FSIZE, "file_bytes")):
        if limits[name] is not None:
            resource.setrlimit(kind, (limits[name], limits[name]))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # where memory runs short, the job goes first, not the harness


def claim(job: str) -> bool:
    """Write `started` unless it is there: of all who try, one succeeds, also across a crash.

    It stays locked while this process lives, which can be seen where our process numbers mean nothing.
    """
    me = process_status(os.getpid())
    mine = f"{job}/started.{os.getpid()}"
    record = {"pid": os.getpid(), "start": me[2] if me else 0, "boot": boot_id(), "at": time.time(), "pids": pids()}
    handle = write_draft(mine, record)
    fcntl.lockf(handle, fcntl.LOCK_EX)
    try:
        os.link(mine, f"{job}/started")
    except FileExistsError:
        return False
    finally:
        os.unlink(mine)
    return True


def open_log(job: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(f".logs/{job}")
    log = os.open(f".logs/{job}/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(FileExistsError):
        os.link(f".logs/{job}/log", f"{job}/log")
    return log


def watch(job: str, family: Family, output: Output, pipe: int, wake: int, request: dict[str, Any]) -> str:
    """Copy output until the command ends, its time is over, it floods, or it is to be killed; say which."""
    wall, space = request["limits"]["wall_seconds"], Space(request)
    deadline = None if wall is None else time.monotonic() + wall
    flood = max(output.cap * FLOOD, FLOOD_FLOOR)
    sources = [pipe, wake]
    while True:
        left = space.pause if deadline is None else min(space.pause, max(0.0, deadline - time.monotonic()))
        ready = select.select(sources, [], [], left)[0]
        if pipe in ready and not drain(pipe, output, rounds=1):
            sources = [wake]
        if wake in ready:
            os.read(wake, 65536)
            family.reap()
        if family.status is not None:
            return "exited"
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        if output.seen > flood:
            return "output"
        if complaint := space.complaint():
            output.last_line = complaint
            return "disk"
        if os.path.exists(f"{job}/kill") or os.stat(".").st_nlink == 0:
            return "killed"


def drain(pipe: int, output: Output, rounds: int = 64) -> bool:
    """Take what the pipe holds now; False once every writer has closed it."""
    for _ in range(rounds):
        try:
            count = os.readv(pipe, [output.buffer])
        except BlockingIOError:
            return True
        if count == 0:
            return False
        output.take(output.buffer[:count])
    return True


def keep(job: str, request: dict[str, Any]) -> None:
    """The life of one job, from its claim to its exit record."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    if not claim(job):
        return
    began = time.monotonic()
    reserve_exit(job)
    output = Output(open_log(job), request["limits"]["output_bytes"])
    record: dict[str, Any] = {"ended": "killed", "exit_code": 137, "killed": 0, "survivors": 0}
    if not os.path.exists(f"{job}/kill"):
        record = keep_command(job, request, output, woken)
    record["kept_bytes"], record["output_bytes"] = output.finish(), output.seen
    record["seconds"] = round(time.monotonic() - began, 4)
    handle = write_exit(job, record)
    poke(".done", b".")
    os.fsync(handle)


def keep_command(job: str, request: dict[str, Any], output: Output, woken: int) -> dict[str, Any]:
    """Run the command until nothing of it is left."""
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    starved = memory_kills()
    pipe, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.set_blocking(pipe, False)
    main = launch(request, writer)
    os.close(writer)
    family = Family(main)
    ended = watch(job, family, output, pipe, woken, request)
    killed, survivors = family.kill(woken)
    drain(pipe, output)
    code = 137 if family.status is None else os.waitstatus_to_exitcode(family.status)
    code = code if code >= 0 else 128 - code
    starved = memory_kills() - starved
    if ended == "exited" and code == 137 and starved:
        ended = "memory"
    return {"ended": ended, "exit_code": code, "killed": killed, "survivors": survivors, "starved": starved}
