"""Start the supervisor of a jobs folder on this machine, and find the one that serves it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from sandboxes.base import SandboxFailed

START_SECONDS = 60
CODE = """
import sys
sys.path.append(sys.argv[1])
from sandboxes.jobs.supervisor import main
main(sys.argv[2], float(sys.argv[3]))
"""


def supervisor_pid(folder: Path) -> int | None:
    """Process id of the supervisor that serves the folder now, if there is one."""
    lock_file = folder / ".supervisor.lock"
    try:
        with lock_file.open("r+") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return int(lock_file.read_text() or 0) or None
    except FileNotFoundError:
        return None


def start_supervisor(folder: Path, idle_seconds: float) -> None:
    """Start a supervisor that exits after `idle_seconds` without requests. Raises `SandboxFailed`."""
    # The base interpreter, isolated and without site: an upgrade of the environment does not affect it.
    python = str(getattr(sys, "_base_executable", None) or sys.executable)
    argv = [python, "-I", "-S", "-c", CODE, str(Path(__file__).parents[2]), str(folder), str(idle_seconds)]
    log = os.open(folder / ".supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        code = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
            timeout=START_SECONDS,
        ).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxFailed(f"the supervisor of jobs could not be started: {error}") from error
    finally:
        os.close(log)
    if code:
        raise SandboxFailed(f"the supervisor of jobs ended with code {code}: see {folder}/.supervisor.log")
