"""Blobs: long texts of a run, one file each, named by the sha256 of their bytes.

A blob is complete on disk before the journal line that names it is written. A text that is already there is not
written again.
"""

from __future__ import annotations

import re
from pathlib import Path

from runs.files import replace_file, sha256_hex
from runs.files import sync_folder as sync_folder


class BlobMissing(Exception):
    """A blob is missing, or its content does not match its name; the message says which."""


def to_bytes(text: str) -> bytes:
    """Encode a text. Unpaired surrogates, which a broken reply may hold, survive encoding and decoding."""
    return text.encode("utf-8", "surrogatepass")


def put_blob(folder: Path, text: str) -> str:
    """Store a text durably and return its name. Raises OSError; a full disk leaves no partial blob."""
    content = to_bytes(text)
    name = sha256_hex(content)
    target = folder / name
    if not target.exists():
        folder.mkdir(exist_ok=True)
        replace_file(target, content, is_durable=True)
    return name


def get_blob(folder: Path, name: str) -> str:
    """Read the text stored under a name. Raises `BlobMissing`."""
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", name):
        raise BlobMissing(f"{name!r} is not a blob name (64 hex digits)")
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BlobMissing(f"{path} cannot be read ({error.strerror})") from error
    if sha256_hex(content) != name:
        raise BlobMissing(f"{path} was changed: its content does not match its name")
    return content.decode("utf-8", "surrogatepass")
