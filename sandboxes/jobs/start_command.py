"""Start a job's command as a child process: limits, user and open files.

Standard library only: runs inside containers.
"""

# A runner process is kept for every job; pathlib would double what it loads:
# ruff: noqa: PTH123

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Any

from sandboxes.jobs.processes import LIBC, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, set_process_option
from sandboxes.seccomp import apply_filter, make_filter

RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR2)
"""Signals with a handler in the runner, or ignored by a run of a sweep; the command gets the default behaviour back."""


def start_command(request: dict[str, Any], output: int) -> int:
    """Start the command as a child that writes to `output`; returns its process id.

    A command that sets its own limits (`bounds_itself`) is spawned without a fork, which halves the start-up cost.
    """
    if request.get("bounds_itself"):
        with contextlib.suppress(OSError, ValueError):  # the fork below then reports the error in the log
            return _spawn(request, output)
    pid = os.fork()
    if pid == 0:
        _execute(request, output)
    return pid


def drop_privileges(user: int, group: int, locks: bool = True) -> None:
    """Become another user permanently: inside a container the runner is root with three capabilities.

    `locks`: see `make_filter`.
    """
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    set_process_option(PR_SET_NO_NEW_PRIVS, 1)
    set_process_option(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user resets it
    if program := make_filter(locks=locks):
        apply_filter(LIBC, program)


def _spawn(request: dict[str, Any], output: int) -> int:
    null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
    copies = [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)]
    opened = [(os.POSIX_SPAWN_OPEN, int(number), path, os.O_RDONLY, 0) for number, path in request["files"].items()]
    return os.posix_spawn(
        request["argv"][0],
        request["argv"],
        request["environment"],
        file_actions=[null, *copies, *opened],
        setsid=True,
        setsigdef=RESET_SIGNALS,
    )


def _execute(request: dict[str, Any], output: int) -> None:
    """In the forked child: become the command. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        os.setsid()
        if not request.get("user"):
            set_process_option(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number, path in request["files"].items():
            os.dup2(os.open(path, os.O_RDONLY), int(number))
        _set_limits(request["limits"])
        if request.get("user"):
            user, group = request["user"]
            drop_privileges(user, group, request.get("locks", True))
        os.chdir(request["cwd"])
        for number in RESET_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.execve(request["argv"][0], request["argv"], request["environment"])
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"harness: the command could not be started: {error}\n".encode(errors="replace"))
    os._exit(127)


def _set_limits(limits: dict[str, Any]) -> None:
    """Kernel limits of each process of the job; the agent cannot raise them."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, name in ((resource.RLIMIT_AS, "memory_bytes"), (resource.RLIMIT_FSIZE, "file_bytes")):
        if limits[name] is not None:
            resource.setrlimit(kind, (limits[name], limits[name]))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # when memory runs out, the kernel kills the job before the harness
