"""How a command ends: the exit codes, which error means which, and what its user is told.

    0 done   1 our bug   2 your input   3 stopped, resumable   4 endpoint   5 sandbox

Errors are matched by the names of their classes, so that nothing has to be imported to know them; a test holds that
every name here is an error of one of the rooms.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO, NoReturn

DONE, BUG, INPUT, STOPPED, ENDPOINT, SANDBOX = range(6)

CODES = {
    "UsageError": INPUT,
    "SettingsError": INPUT,
    "ProfileError": INPUT,
    "TaskError": INPUT,
    "JournalFull": STOPPED,
    "JournalError": INPUT,
    "ModelError": ENDPOINT,
    "SandboxError": SANDBOX,
    "VersionsError": STOPPED,
    "ChildFailed": STOPPED,
}
"""Name of an error class of ours -> exit code of the command that it ends. The nearest class counts."""

_ROOMS = ("harness", "context", "sandboxes", "tasks", "runs")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""What a file system says of a path that somebody gave us: no fault of ours."""


class UsageError(Exception):
    """What was typed cannot be done; the message says what to type instead."""


def code_of(error: BaseException) -> int:
    """The exit code an error stands for; `BUG` where nobody foresaw it."""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, OSError) and error.errno in _FULL:
        return STOPPED
    if isinstance(error, OSError) and error.errno in _REFUSED and error.filename:
        return INPUT
    for kind in type(error).__mro__:
        if kind.__name__ in CODES and kind.__module__.partition(".")[0] in _ROOMS:
            return CODES[kind.__name__]
    return BUG


def explain(error: BaseException, home: Path | None) -> str:
    """One message for the user: what happened and what to do next. Of a bug, the traceback goes to a file."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped. If a run was going on, `harness resume last` goes on with it."
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or home or "the disk"
        return (
            f"no space left ({where}). Free some space, then type it again. Nothing recorded is lost: a run that was "
            "going on goes on with `harness resume last`."
        )
    if isinstance(error, OSError) and code_of(error) == INPUT:
        return f"{error.filename}: {error.strerror}. Check who may write there, or set HARNESS_HOME to another folder."
    if code_of(error) != BUG:
        return str(error) or type(error).__name__
    return _tell_of_bug(error, home)


def _tell_of_bug(error: BaseException, home: Path | None) -> str:
    told = " ".join(f"{type(error).__name__}: {error}".split())
    text = "".join(traceback.format_exception(error))
    name = time.strftime("crash-%Y%m%d-%H%M%S") + f"-{os.getpid()}.txt"
    for folder in (home, Path(tempfile.gettempdir())):
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return f"{told}\nThis is a fault of the harness, not yours. What happened is written in {folder / name}"
    return f"{told}\nThis is a fault of the harness, and its traceback could not be written anywhere."


def provide_streams() -> None:
    """Open those of stdin, stdout and stderr that came closed on nothing: their numbers would go to the next files
    that are opened, and what a child process prints would go there as well."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def hush(stream: IO[str]) -> None:
    """Point a stream whose reader has gone away at nothing, so that closing it at exit raises no more."""
    # A stream without a file underneath has nothing left to flush into the pipe.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_full(stream: IO[str]) -> bool:
    """Whether what was printed cannot be written for want of room; the stream is then let go."""
    try:
        stream.flush()
    except OSError as error:
        hush(stream)
        return error.errno in _FULL
    return False


def fail(message: str) -> NoReturn:
    """Refuse what was typed. Raises `UsageError`."""
    raise UsageError(message)


def say(message: str) -> None:
    """Write one message about the command itself to stderr; a reader that has gone away is no error."""
    try:
        print(f"harness: {message}", file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)
