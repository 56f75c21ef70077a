"""Writing and naming files: one atomic writer and one hash for everything a run folder holds."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def sha256_hex(content: bytes) -> str:
    """The sha256 of some bytes, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def replace_file(path: Path, content: bytes | Iterable[bytes], *, is_durable: bool = False) -> None:
    """Write a whole file or nothing: readers see the old content or the new. `content` may come in pieces.

    With `is_durable`, the file survives a power cut once this returns. Raises OSError; no temporary file is left then.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.writelines([content] if isinstance(content, bytes) else content)
            if is_durable:
                file.flush()
                os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if is_durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new file names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
