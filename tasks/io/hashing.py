"""Hashes of text, bytes and files, as hexadecimal digits."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_of(content: str | bytes) -> str:
    """The SHA-256 of a text (as UTF-8) or of bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def hash_of_file(path: Path, algorithm: str = "sha256") -> str:
    """The hash of a file's content, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
