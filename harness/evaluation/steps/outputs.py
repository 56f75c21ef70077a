"""Files that steps made: taken out of a folder that hostile code wrote, kept under their hash, placed for later steps.

No link is followed, special files and hard links are refused, and sizes are bounded. Files are copied, never shared
with a sandbox, so that a step cannot change what another one made.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

DEPTH_CAP, COUNT_CAP, SEEN_CAP = 40, 20_000, 200_000
"""Folders deep, files kept, entries looked at."""
CHUNK_BYTES = 1 << 20
_CACHES = frozenset(("__pycache__", ".ipynb_checkpoints", ".cache"))
_SANDBOX_ENTRIES = frozenset(("data", ".jobs"))
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class MadeFile(BaseModel):
    """A kept file: its sha256, which is its name, its size in bytes, whether it is executable."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    size: int
    is_executable: bool = False


class Unusable(Exception):
    """What a step left in its `makes` cannot be kept; the message says why."""


@dataclass
class Collected:
    """What a step left: `files` by path, and `dropped`, the paths that it wrote without declaring them."""

    files: dict[str, MadeFile] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    bytes: int = 0
    seen: int = 0


def collect(
    workspace: Path,
    is_made: Callable[[str], bool],
    is_input: Callable[[str], bool],
    into: Path,
    max_bytes: int,
    judged: str = "",
) -> Collected:
    """Copy the files for which `is_made` holds into the folder `into`, named by their hash.

    Files for which `is_input` holds were there before and are not told as dropped. The file `judged` is left out where
    it cannot be kept. Raises `Unusable`.
    """
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = Collected()
    with _open_folder(str(workspace), None) as root:
        for folder, name, path in _walk(root, "", 0, found):
            if not is_made(path):
                if not is_input(path):
                    found.dropped.append(path)
                continue
            if len(found.files) >= COUNT_CAP:
                raise Unusable(f"it made more than {COUNT_CAP:,} files: pack them into one")
            try:
                made = _keep(folder, name, path, into, max_bytes - found.bytes)
            except Unusable:
                if path == judged:
                    continue
                raise
            found.files[path] = made
            found.bytes += made.size
    return found


def _walk(folder: int, prefix: str, depth: int, found: Collected) -> Iterator[tuple[int, str, str]]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        found.seen += 1
        if found.seen > SEEN_CAP:
            raise Unusable(f"it left more than {SEEN_CAP:,} files and folders: write fewer")
        if name in _CACHES or (not prefix and name in _SANDBOX_ENTRIES):
            continue
        try:
            is_folder = stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)
        except FileNotFoundError:
            continue
        if not is_folder:
            yield folder, name, prefix + name
        elif depth < DEPTH_CAP:
            try:
                with _open_folder(name, folder) as inner:
                    yield from _walk(inner, f"{prefix}{name}/", depth + 1, found)
            except PermissionError:
                continue


def _keep(folder: int, name: str, path: str, into: Path, left: int) -> MadeFile:
    status = os.lstat(name, dir_fd=folder)
    if stat.S_ISLNK(status.st_mode):
        raise Unusable(f"it made {path} as a symbolic link: write a regular file")
    if not stat.S_ISREG(status.st_mode):
        raise Unusable(f"it made {path}, which is not a regular file")
    try:
        source = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        raise Unusable(f"{path}, which it made, cannot be read ({error.strerror})") from None
    with os.fdopen(source, "rb") as file:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise Unusable(f"it made {path} as a hard link: write a file of its own")
        if status.st_size > left:
            raise Unusable(f"{path} has {status.st_size:,} bytes, and {max(0, left):,} are left for what steps make")
        draft = into / f".{secrets.token_hex(8)}.part"
        digest, size = hashlib.sha256(), 0
        try:
            with draft.open("xb") as target:
                while chunk := file.read(CHUNK_BYTES):
                    size += len(chunk)
                    if size > left:
                        raise Unusable(f"{path} grew while it was read")
                    digest.update(chunk)
                    target.write(chunk)
            draft.chmod(0o600)
            draft.rename(into / digest.hexdigest())
        finally:
            draft.unlink(missing_ok=True)
    return MadeFile(sha256=digest.hexdigest(), size=size, is_executable=bool(status.st_mode & stat.S_IXUSR))


def keep_log(log: Path, into: Path) -> MadeFile | None:
    """Keep the log of a step's job; None if there is none."""
    try:
        with _open_folder(str(log.parent), None) as folder:
            return _keep_any(folder, log.name, into)
    except OSError:
        return None


def _keep_any(folder: int, name: str, into: Path) -> MadeFile:
    """A file that the harness wrote, which may have several names."""
    digest, size, draft = hashlib.sha256(), 0, into / f".{secrets.token_hex(8)}.part"
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file, draft.open("xb") as target:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            digest.update(chunk)
            target.write(chunk)
    draft.rename(into / digest.hexdigest())
    return MadeFile(sha256=digest.hexdigest(), size=size)


def place(files: Mapping[str, MadeFile], source: Path, workspace: Path) -> None:
    """Copy kept files into a fresh workspace, over files of the same name. Raises `Unusable`."""
    for path, made in sorted(files.items()):
        target = workspace / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with (source / made.sha256).open("rb") as file, target.open("wb") as copy:
                while chunk := file.read(CHUNK_BYTES):
                    copy.write(chunk)
            target.chmod(0o755 if made.is_executable else 0o644)
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            raise Unusable(f"{path} is a file for one step and a folder for another") from None


def hash_of(path: Path) -> str:
    """The sha256 of a kept file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _open_folder(name: str, parent: int | None) -> Iterator[int]:
    handle = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)
