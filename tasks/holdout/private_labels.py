"""Labels in custody: every reading of them is written down, and rows planted among them prove a leak.

<folder>/answers.csv      labels; its last row is the canary: an id that exists nowhere else, and belongs to no row
<folder>/canary           the canary's id alone, so that whoever looks for it need not open the labels
<folder>/access.jsonl     one line for each time the harness opened the labels: when, which process, what for
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
"""How much of a file is searched for a canary."""


def read_labels(path: Path, purpose: str) -> Columns:
    """A file of labels, without the canary; that it was read is on record before.

    Raises `cells.TableError`, OSError.
    """
    _note(path, purpose)
    labels = read_columns(path)
    firsts = labels.column(labels.header[0]) if labels.header else []
    canaries = {at for at, name in enumerate(firsts) if name.startswith(PREFIX)}
    return labels.take([at for at in range(len(labels)) if at not in canaries]) if canaries else labels


def plant_canary(path: Path, seed: str) -> None:
    """Add the canary to a file of labels that was just written; the same seed gives the same canary."""
    header = next(iter(read_rows(path)), [])
    canary = PREFIX + hash_of(f"canary {seed}")[:24]
    with path.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow([canary, *["0"] * (len(header) - 1)])
    beside = path.with_name("canary")
    beside.touch(mode=0o600)
    beside.write_text(canary, encoding="utf-8")


def opaque_name(words: str) -> str:
    """A name for a folder, the same for the same words, that tells none of them: mount tables show paths."""
    return hash_of(words)[:16]


def files_with_canary(private_labels: Path, files: Iterable[Path]) -> list[Path]:
    """Those of the files that hold the canary of these labels: nobody who was kept from them can have written it."""
    try:
        canary = (private_labels / "canary").read_bytes()
    except FileNotFoundError:
        return []
    return [path for path in files if canary and canary in _head(path)]


def _head(path: Path) -> bytes:
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


def _note(path: Path, purpose: str) -> None:
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
    except OSError as error:  # a user's own folder of answers may be read-only: then at least it is said
        print(f"labels read, and not on record ({error.strerror}): {line}", file=sys.stderr, end="")
