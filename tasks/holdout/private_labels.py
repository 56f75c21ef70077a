"""Private labels: every read is recorded, and a canary row among them proves a leak.

<folder>/answers.csv      labels; the last row is the canary: an id that exists nowhere else and belongs to no row
<folder>/canary           the canary's id alone, so that a search for it does not open the labels
<folder>/access.jsonl     one line each time the harness opened the labels: time, process, purpose
"""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from tasks.io.columns import Columns, read_columns
from tasks.io.csv_text import read_rows
from tasks.io.hashing import hash_of

PREFIX = "canary-"
SEARCH_BYTES = 64 << 20
"""How much of a file is searched for the canary."""


def read_labels(path: Path, purpose: str) -> Columns:
    """Read a file of labels without its canary; the read is recorded first.

    Raises `csv_text.TableError`, OSError.
    """
    _record_read(path, purpose)
    labels = read_columns(path)
    ids = labels.column(labels.header[0]) if labels.header else []
    canaries = {row for row, name in enumerate(ids) if name.startswith(PREFIX)}
    return labels.take([row for row in range(len(labels)) if row not in canaries]) if canaries else labels


def plant_canary(path: Path, seed: str) -> None:
    """Add a canary to a file of labels; the same seed gives the same canary."""
    header = next(read_rows(path), [])
    canary = PREFIX + hash_of(f"canary {seed}")[:24]
    with path.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow([canary, *["0"] * (len(header) - 1)])
    file = path.with_name("canary")
    file.touch(mode=0o600)
    file.write_text(canary, encoding="utf-8")


def opaque_name(text: str) -> str:
    """A folder name derived from a text without revealing it: the sandbox can read paths in its mount table."""
    return hash_of(text)[:16]


def files_with_canary(private_labels: Path, files: Iterable[Path]) -> list[Path]:
    """The files that contain the canary of these labels: whoever wrote them has seen the labels."""
    try:
        canary = (private_labels / "canary").read_bytes()
    except FileNotFoundError:
        return []
    return [path for path in files if canary and canary in _read_start(path)]


def _read_start(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return b""
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(SEARCH_BYTES)
    finally:
        os.close(handle)


def _record_read(path: Path, purpose: str) -> None:
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "pid": os.getpid(),
        "for": purpose,
        "file": path.name,
    }
    line = json.dumps(entry) + "\n"
    try:
        handle = os.open(path.with_name("access.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    except OSError as error:  # a user's own folder of answers may be read-only
        print(
            f"labels were read, but the read could not be recorded ({error.strerror}): {line}", file=sys.stderr, end=""
        )
