"""Files and folders named by the hash of what they are made from: made once, then shared by all runs."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sandboxes.atomic import write_atomically


def short_hash(content: str | bytes, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of the content."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:length]


def store_file(folder: Path, content: bytes) -> Path:
    """The file in `folder` that holds this content, written if it is missing."""
    path = folder.absolute() / short_hash(content)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return path


def make_folder_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, filled by `fill` if it is missing. It appears complete, also if several processes make it."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        fill(draft)
        draft.chmod(0o755)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    try:
        draft.rename(folder)
    except OSError:  # another process made the same folder first
        shutil.rmtree(draft)
    return folder
