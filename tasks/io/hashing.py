"""Hashes of text, bytes and files, as hexadecimal digits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path


def hash_of(content: str | bytes) -> str:
    """The SHA-256 of a text (as UTF-8) or of bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def hash_of_cells(columns: Iterable[Sequence[str]]) -> str:
    """The hash of columns of cells. Of labels that are partly held out, it is a seed that nobody else can know."""
    return hash_of("\x1f".join(cell for cells in columns for cell in cells))


def hash_of_file(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's content, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
