"""Write files that appear under their name complete or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

FILE_TIME = 946_684_800
"""The modification time of every public file (seconds since 1970): real times would reveal which rows moved."""


@contextlib.contextmanager
def replacing(path: Path, *, one_writer: bool = False) -> Iterator[Path]:
    """The path of a draft beside `path`; it replaces `path` at the end of the block and is removed after an error.

    `one_writer`: no other process writes this file, so the draft has a fixed name. A rerun then overwrites the draft of
    a killed process.
    """
    draft = path.with_name(f".{path.name}.part" if one_writer else f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def open_durable(path: Path, mode: int = 0o644) -> Iterator[TextIO]:
    """An open text file that replaces `path` at the end of the block, with permissions `mode` and synced to disk.

    Bytes that are not UTF-8 are kept (surrogateescape), and line ends are written as given.
    """
    with (
        replacing(path) as draft,
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        os.fchmod(stream.fileno(), mode)
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
