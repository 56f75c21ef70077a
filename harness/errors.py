"""Exit codes, the error classes they belong to, and the message the user sees.

    0 done   1 our bug   2 your input   3 stopped, resumable   4 endpoint   5 sandbox

Errors are matched by class name, so nothing has to be imported; a test checks that every name exists.
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
    "ControlRefused": INPUT,
    "ProfileError": INPUT,
    "TaskError": INPUT,
    "JournalFull": STOPPED,
    "JournalError": INPUT,
    "LedgerError": INPUT,
    "PlaybookError": INPUT,
    "ModelError": ENDPOINT,
    "SandboxError": SANDBOX,
    "VersionsError": STOPPED,
    "ChildFailed": STOPPED,
}
"""Error class -> exit code. The nearest base class counts."""

_PACKAGES = ("harness", "context", "sandboxes", "tasks", "runs")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_OF_PATHS = "ENOENT ENOTDIR EISDIR EEXIST ENOTEMPTY EACCES EPERM ELOOP ENAMETOOLONG ENXIO ETXTBSY"
OF_THE_AGENT = frozenset(getattr(errno, name) for name in _OF_PATHS.split())
"""Error numbers that the agent's files and paths can cause. Any other number is a fault of the machine."""
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of a path that the user gave: not our bug."""


def is_of_machine(error: BaseException) -> bool:
    """Whether the machine failed (a full or broken disk, no file handles): the run stops and can be resumed."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in OF_THE_AGENT


class UsageError(Exception):
    """The command line asks for something impossible; the message says what to type instead."""


def code_of(error: BaseException) -> int:
    """The exit code of an error; `BUG` for an unexpected one."""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, OSError) and error.errno in _FULL:
        return STOPPED
    if isinstance(error, OSError) and error.errno in _REFUSED and error.filename:
        return INPUT
    for kind in type(error).__mro__:
        if kind.__name__ in CODES and kind.__module__.partition(".")[0] in _PACKAGES:
            return CODES[kind.__name__]
    return STOPPED if is_of_machine(error) else BUG


def explain(error: BaseException, home: Path | None) -> str:
    """One message for the user: what happened and what to do next. The traceback of a bug goes to a file."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped. `harness resume last` continues a run that was in progress."
    if isinstance(error, OSError) and error.errno in _FULL:
        where = error.filename or home or "the disk"
        return (
            f"no space left ({where}). Free some space and try again. Nothing recorded is lost: `harness resume last` "
            "continues a run that was in progress."
        )
    if isinstance(error, OSError) and code_of(error) == INPUT:
        return f"{error.filename}: {error.strerror}. Check who may write there, or set HARNESS_HOME to another folder."
    if isinstance(error, OSError) and is_of_machine(error):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"the machine failed: {error.strerror}{where}. Nothing recorded is lost: repair this, then "
            "`harness resume last` continues a run that was in progress."
        )
    if code_of(error) != BUG:
        return str(error) or type(error).__name__
    return _report_bug(error, home)


def _report_bug(error: BaseException, home: Path | None) -> str:
    summary = " ".join(f"{type(error).__name__}: {error}".split())
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
        return f"{summary}\nThis is a bug of the harness. The traceback is in {folder / name}"
    return f"{summary}\nThis is a bug of the harness. Its traceback could not be written anywhere."


def provide_streams() -> None:
    """Open closed standard streams on /dev/null: otherwise the next opened files would get their numbers, and child
    processes would print into them."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def hush(stream: IO[str]) -> None:
    """Redirect a stream without a reader to /dev/null, so that closing it at exit raises nothing."""
    # A stream without a file underneath has nothing left to flush into the pipe.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_full(stream: IO[str]) -> bool:
    """Whether the output cannot be written because the disk is full; the stream is then silenced."""
    try:
        stream.flush()
    except OSError as error:
        hush(stream)
        return error.errno in _FULL
    return False


def fail(message: str) -> NoReturn:
    """Refuse the command. Raises `UsageError`."""
    raise UsageError(message)


def say(message: str) -> None:
    """Write one message to stderr; a missing reader is not an error."""
    try:
        print(f"harness: {message}", file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)
