"""Blobs: long texts of a run, one file each, named by the sha256 of their bytes.

A blob is on disk, whole, before the journal line that names it; a text that is already there is not written again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path


class BlobMissing(Exception):
    """A blob is not there, or its bytes are not those its name promises; the message says which."""


def to_bytes(text: str) -> bytes:
    """The bytes of a text. Half surrogate pairs, which a broken reply may hold, survive the way there and back."""
    return text.encode("utf-8", "surrogatepass")


def put_blob(folder: Path, text: str) -> str:
    """Keep a text and return its name. It is on disk when this returns. Raises OSError (a full disk leaves nothing)."""
    content = to_bytes(text)
    name = hashlib.sha256(content).hexdigest()
    target = folder / name
    if target.exists():
        return name
    folder.mkdir(exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return name


def get_blob(folder: Path, name: str) -> str:
    """The text that was kept under a name. Raises `BlobMissing`."""
    if not _is_name(name):
        raise BlobMissing(f"{name!r} is not the name of a blob")
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BlobMissing(f"{path} cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != name:
        raise BlobMissing(f"{path} was altered: its bytes are not those its name promises")
    return content.decode("utf-8", "surrogatepass")


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and len(name) == 64 and all(letter in "0123456789abcdef" for letter in name)
