"""The journal of a run: `events.jsonl`, one line per event, one writer, on disk before anything acts on it.

    JournalError            the journal cannot be used as asked; the message says what to do
    ├── JournalMissing      there is no run in this folder
    ├── JournalBusy         another process drives this run
    ├── JournalVersion      the run folder has a format that cannot be read or resumed
    ├── JournalDamaged      a line or a blob is not what was written
    └── JournalFull         no room for another event; what is recorded is safe

`mono` counts from the opening of the journal, so that the active seconds of a run are the sum over its openings.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from runs.blobs import sync_folder
from runs.events.registry import FORMAT, Event, JobFinished, ModelReplied, Reminded, RunCreated, ToolFinished
from runs.serialization import (
    JournalDamaged,
    JournalError,
    JournalMissing,
    JournalVersion,
    LineReader,
    link_of,
    to_line,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "Journal",
    "JournalBusy",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalMissing",
    "JournalVersion",
    "create_run",
    "read_events",
]

EVENTS = "events.jsonl"
FOLLOWED = (ModelReplied, JobFinished, ToolFinished, Reminded)
"""Kinds after which the next event (a tool's start, a request) is written before anything is done."""
E = TypeVar("E", bound=Event)


class JournalBusy(JournalError):
    """Another process drives this run."""


class JournalFull(JournalError):
    """There is no room for another event. All that is recorded is safe, and appending works again once there is."""


def create_run(folder: Path, first: RunCreated) -> RunCreated:
    """Make a run folder that appears all at once, with event 0 already inside; returns that event as recorded.

    Folders that a crash left half made begin with a dot. Raises `JournalError` if the folder exists or cannot be
    made, `JournalFull` where there is no room.
    """
    if folder.exists():
        raise JournalError(f"{folder} already exists: choose another run id, or resume that run")
    recorded = first.model_copy(update={"seq": 0, "at": _now(), "mono": 0.0})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _explain(error, folder) from error
    try:
        _fill(draft, recorded)
        draft.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise _explain(error, folder) from error
    return recorded


def _fill(draft: Path, recorded: RunCreated) -> None:
    draft.chmod(0o755)
    (draft / "blobs").mkdir()
    (draft / "inbox").mkdir()
    with (draft / EVENTS).open("wb") as file:
        file.write(to_line(recorded, draft / "blobs"))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(draft)


class Journal:
    """The one writer of a run's journal.

    `past` holds the events found on opening, whole (clear it once folded); `torn` is where the bytes of a half
    written last line were put, if there was one.
    """

    def __init__(self, folder: Path, lock: BaseFileLock) -> None:
        """Use `Journal.open`."""
        self.folder = folder
        self.past: list[Event] = []
        self.torn: Path | None = None
        self._lock = lock
        self._file = -1
        # Bytes and lines on disk, and the hash of the last line: one tuple, so that no Ctrl-C comes between them.
        self._end = (0, 0, "")
        self._is_ragged = False
        self._opened = time.monotonic()
        self._stopped_at: float | None = None

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Lock the journal of a run and read it. Nothing is changed unless all of it can be read.

        Raises `JournalMissing`, `JournalBusy`, `JournalVersion`, `JournalDamaged`, `JournalFull`.
        """
        path = folder / EVENTS
        if not path.is_file():
            raise _missing(folder)
        journal = cls(folder, _take_lock(folder))
        try:
            journal._read()
        except OSError as error:
            journal.close()
            raise _explain(error, path) from error
        except BaseException:
            journal.close()
            raise
        return journal

    def append(self, event: E) -> E:
        """Record an event: fills in `seq`, `at`, `mono` and `prev`, and returns it once it is written.

        It is synced to the disk before this returns, but for the kinds on which nothing acts before the next event
        (`FOLLOWED`): that one's sync covers them. A killed process loses nothing either way; a power cut may lose
        such an event together with all that came of it.

        Raises `JournalFull` or `JournalError`; the event is then not recorded, and the journal stays usable.
        """
        filled = {"seq": self._end[1], "at": _now(), "mono": round(self.mono(), 3), "prev": self._end[2]}
        recorded = event.model_copy(update=filled)
        try:
            self._write(to_line(recorded, self.folder / "blobs"), is_followed=isinstance(event, FOLLOWED))
        except OSError as error:
            raise _explain(error, self.folder / EVENTS) from error
        return recorded

    def mono(self) -> float:
        """Seconds since this journal was opened: what the next event's `mono` will be. A stopped clock stands still."""
        return time.monotonic() - self._opened if self._stopped_at is None else self._stopped_at

    def stop_clock(self) -> None:
        """Let the clock stand still until `start_clock`: the run is paused."""
        self._stopped_at = self.mono()

    def start_clock(self) -> None:
        """Let the clock go on where it was stopped."""
        if self._stopped_at is not None:
            self._opened, self._stopped_at = time.monotonic() - self._stopped_at, None

    def close(self) -> None:
        """Let go of the run, so that another process may take it up."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                _sync(self._file)
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        path = self.folder / EVENTS
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        tail, reader = b"", LineReader(path)
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if is_torn(line, file):
                    tail = line
                    break
                self.past.append(reader.read(line))
                self._end = (self._end[0] + len(line), number, reader.link)
        if not self.past:
            raise JournalDamaged(f"{path}, line 1: the run's first event is not whole: there is no run to resume")
        if reader.format < FORMAT:
            raise _too_old(self.folder, reader.format, self.past[0])
        if tail:
            self._put_aside(tail)

    def _put_aside(self, tail: bytes) -> None:
        names = (self.folder / f"{EVENTS}.torn-{number}" for number in itertools.count(1))
        self.torn = next(name for name in names if not name.exists())
        with self.torn.open("xb") as file:
            file.write(tail)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.folder)
        self._trim()
        os.fsync(self._file)

    def _write(self, line: bytes, is_followed: bool) -> None:
        if self._is_ragged:
            self._trim()
        try:
            written = os.write(self._file, line)
            while written < len(line):  # a disk that is nearly full takes a part first and refuses the rest
                written += os.write(self._file, line[written:])
            if not is_followed:
                _sync(self._file)
            self._end = (self._end[0] + len(line), self._end[1] + 1, link_of(line))
        except BaseException:
            self._is_ragged = True
            self._trim()
            raise

    def _trim(self) -> None:
        os.ftruncate(self._file, self._end[0])
        self._is_ragged = False


def read_events(folder: Path) -> Iterator[Event]:
    """The events of a run, whole, oldest first, for viewers: takes no lock and changes nothing.

    Stops before a half written last line. Raises `JournalMissing`, `JournalVersion`, `JournalDamaged`.
    """
    path = folder / EVENTS
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(folder) from error
    except OSError as error:
        raise _explain(error, path) from error
    reader = LineReader(path)
    with file:
        for line in file:
            if is_torn(line, file):
                return
            yield reader.read(line)


def is_driven(folder: Path) -> bool:
    """Whether a process is playing the run at this moment."""
    from filelock import FileLock, Timeout

    path = folder / "lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # another user's run, which may not be locked
        return False


def is_torn(line: bytes, file: BufferedReader) -> bool:
    # The last line is torn if its end is not there, or if a power cut left zeros where its bytes were to go.
    return not line.endswith(b"\n") or (b"\0" in line and not file.peek(1))


def _take_lock(folder: Path) -> BaseFileLock:
    from filelock import FileLock, Timeout

    # Not at once: whoever only looks whether the run is driven holds the lock for a moment.
    lock = FileLock(folder / "lock", timeout=0.5, poll_interval=0.05, thread_local=False)
    holder = folder / "lock.pid"
    try:
        lock.acquire()
    except Timeout:
        pid = holder.read_text().strip() if holder.exists() else "unknown"
        raise JournalBusy(
            f"Another process (pid {pid}) drives the run in {folder}: wait until it ends, or stop it "
            f"(Ctrl-C there, or `kill {pid}`), and try again"
        ) from None
    except OSError as error:
        raise _explain(error, folder / "lock") from error
    # Without its pid the lock still holds: a full disk shall not hinder the opening.
    try:
        holder.write_text(f"{os.getpid()}\n")
    except OSError:
        holder.unlink(missing_ok=True)
    return lock


def _too_old(folder: Path, found: int, first: Event) -> JournalVersion:
    by = getattr(first, "harness_version", "unknown")
    return JournalVersion(
        f"The run in {folder} has format {found} (written by harness {by}). It can be shown, scored and reported, but "
        f"not resumed: use harness {by} to resume it, or start a new run"
    )


def _missing(folder: Path) -> JournalMissing:
    return JournalMissing(f"There is no run in {folder} ({EVENTS} is not there): `harness runs` lists all runs")


def _explain(error: OSError, path: Path) -> JournalError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return JournalFull(
            f"No room to write {path} ({error.strerror}): free some space and resume the run; nothing recorded is lost"
        )
    return JournalError(
        f"{path} cannot be read or written ({error.strerror}): check the disk and its permissions, then resume"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sync(descriptor: int) -> None:
    # macOS has no fdatasync.
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)
