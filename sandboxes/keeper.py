"""The keeper of one job: it runs the command, copies its output, holds its limits and writes down how it ended.

It is a process of its own and needs nobody once it is forked (`supervisor.py`). As the subreaper of its command it
inherits every orphan below it, and so can leave none alive. Standard library only; all paths are relative to the
jobs folder, which is its working directory.
"""

# pathlib would double what is loaded in a process that is kept for every job:
# ruff: noqa: PTH103, PTH104, PTH108, PTH110, PTH116, PTH123

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import time
from typing import Any

from sandboxes.processes import boot_id, descendants, process_status, send

TAIL_BYTES = 65536
"""What is kept of the end of an output that passed its cap."""
FLOOD = 20
"""A job is killed when it has written this many times its cap."""
FLOOD_FLOOR = 64_000_000
"""… but not before it has written this much: draining it costs next to nothing."""
KILL_SECONDS = 10.0
BUFFER_BYTES = 1 << 18
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# ------------------------------------------------------------------------------------------------------- small helpers


EXIT_BYTES = 512
"""Room kept for an exit record; one takes about 130."""


def write_record(path: str, value: dict[str, Any]) -> None:
    """Write a JSON object so that it is there whole or not at all, also after a power cut."""
    temporary = f"{path}.{os.getpid()}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(handle, json.dumps(value).encode())
    os.fsync(handle)
    os.close(handle)
    os.rename(temporary, path)


def reserve_exit(job: str) -> None:
    """Take the room of the exit record before the job starts: the job itself may fill the disk."""
    handle = os.open(f"{job}/.exit", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with contextlib.suppress(OSError):
        os.posix_fallocate(handle, 0, EXIT_BYTES)
    os.close(handle)


def write_exit(job: str, record: dict[str, Any]) -> None:
    """Write the exit record into the room kept for it; it appears whole."""
    text = json.dumps(record).encode()
    handle = os.open(f"{job}/.exit", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(handle, text)
    os.ftruncate(handle, len(text))
    os.fsync(handle)
    os.close(handle)
    os.rename(f"{job}/.exit", f"{job}/exit.json")


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

    def kill(self) -> tuple[int, int]:
        """Kill all of them: how many were killed, and how many could not be within some seconds."""
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        me = os.getpid()
        for _ in range(20):  # what is about to end by itself costs no search through all processes
            if self.status is None or not self.reap():
                break
            time.sleep(0.0005)
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


def run_command(request: dict[str, Any], output: int) -> None:
    """In the forked child: become the command. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number, path in request["files"].items():
            os.dup2(os.open(path, os.O_RDONLY), int(number))
        os.chdir(request["cwd"])
        set_limits(request["limits"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.execve(request["argv"][0], request["argv"], request["environment"])
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"harness: the command could not be started: {error}\n".encode(errors="replace"))
    os._exit(127)


def set_limits(limits: dict[str, Any]) -> None:
    """Bounds that the kernel holds for each process of the job; the agent cannot raise them again."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, name in ((resource.RLIMIT_AS, "memory_bytes"), (resource.RLIMIT_FSIZE, "file_bytes")):
        if limits[name] is not None:
            resource.setrlimit(kind, (limits[name], limits[name]))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # where memory runs short, the job goes first, not the harness


def claim(job: str) -> bool:
    """Write `started` unless it is there: of all who try, one succeeds, also across a crash."""
    me = process_status(os.getpid())
    mine = f"{job}/started.{os.getpid()}"
    write_record(mine, {"pid": os.getpid(), "start": me[2] if me else 0, "boot": boot_id(), "at": time.time()})
    try:
        os.link(mine, f"{job}/started")
    except FileExistsError:
        return False
    finally:
        os.unlink(mine)
    return True


def open_log(job: str) -> int:
    os.makedirs(f".logs/{job}", exist_ok=True)
    log = os.open(f".logs/{job}/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with contextlib.suppress(FileExistsError):
        os.link(f".logs/{job}/log", f"{job}/log")
    return log


def watch(job: str, family: Family, output: Output, pipe: int, wake: int, wall: float | None) -> str:
    """Copy output until the command ends, its time is over, it floods, or it is to be killed; say which."""
    deadline = None if wall is None else time.monotonic() + wall
    flood = max(output.cap * FLOOD, FLOOD_FLOOR)
    sources = [pipe, wake]
    while True:
        left = 2.0 if deadline is None else min(2.0, max(0.0, deadline - time.monotonic()))
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


def keep(job: str) -> None:
    """The life of one job, from its claim to its exit record."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    request = read_request(job)
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
    write_exit(job, record)
    poke(".done", b".")


def read_request(job: str) -> dict[str, Any]:
    """The whole request of a job: its own part and the base it shares with others of its sandbox."""
    with open(f"{job}/request.json") as file:
        own = json.load(file)
    with open(f".bases/{own['base']}.json") as file:
        base = json.load(file)
    return {**base, "argv": [*base["argv"], own["last"]], "limits": own["limits"]}


def keep_command(job: str, request: dict[str, Any], output: Output, woken: int) -> dict[str, Any]:
    """Run the command until nothing of it is left."""
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    pipe, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.set_blocking(pipe, False)
    main = os.fork()
    if main == 0:
        run_command(request, writer)
    os.close(writer)
    family = Family(main)
    ended = watch(job, family, output, pipe, woken, request["limits"]["wall_seconds"])
    killed, survivors = family.kill()
    drain(pipe, output)
    code = 137 if family.status is None else os.waitstatus_to_exitcode(family.status)
    return {"ended": ended, "exit_code": code if code >= 0 else 128 - code, "killed": killed, "survivors": survivors}
