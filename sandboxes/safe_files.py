"""Read and write files in folders that hostile code can change: follows no link, never blocks, limits the size.

Each component of a path is opened relative to the folder opened before it, so that swapping a component meanwhile
cannot lead out of the folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from sandboxes.base import PathRefused
from sandboxes.cache import short_hash

Owner = tuple[int, int] | None
"""User and group that own written files; None: the writing process."""

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def split_path(path: str, roots: tuple[str, ...] = ("/workspace",)) -> tuple[str, ...]:
    """The components of a path below the workspace. An absolute path must start with one of `roots`."""
    if "\0" in path:
        raise PathRefused("a path cannot contain a zero byte")
    pure = PurePosixPath(path)
    if pure.is_absolute():
        root = next((root for root in roots if pure.is_relative_to(root)), None)
        if root is None:
            raise PathRefused(f"{path} is outside the workspace: write it relative to the workspace")
        pure = pure.relative_to(root)
    if ".." in pure.parts:
        raise PathRefused(f"{path} contains `..`: write the path without it")
    if not pure.parts:
        raise PathRefused(f"{path or 'an empty path'} does not name a file")
    return pure.parts


def read_file(root: Path, parts: tuple[str, ...], limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes below `root`. Raises `PathRefused`, FileNotFoundError."""
    with open_file(root, parts, limit) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise PathRefused(f"{'/'.join(parts)} grew past {limit} bytes while it was read")
    return content


def open_file(root: Path, parts: tuple[str, ...], limit: int) -> IO[bytes]:
    """Open a regular file of at most `limit` bytes below `root`. Raises `PathRefused`, FileNotFoundError."""
    name = "/".join(parts)
    with _open_folder(root, parts[:-1], None, make=False) as folder:
        try:
            handle = os.open(parts[-1], FILE_FLAGS, dir_fd=folder)
        except FileNotFoundError:
            raise FileNotFoundError(f"{name} does not exist") from None
        except OSError as error:
            raise PathRefused(f"{name} cannot be read: it is a link or not a regular file ({error.strerror})") from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise PathRefused(f"{name} is not a regular file")
            if status.st_size > limit:
                raise PathRefused(f"{name} has {status.st_size} bytes; at most {limit} can be read")
        except PathRefused:
            os.close(handle)
            raise
    return os.fdopen(handle, "rb")


def write_file(root: Path, parts: tuple[str, ...], content: bytes, owner: Owner) -> None:
    """Replace a file below `root` atomically; missing folders are made, the mode is kept. Raises `PathRefused`."""
    name = "/".join(parts)
    with _open_folder(root, parts[:-1], owner, make=True) as folder:
        mode = 0o644
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                raise PathRefused(f"{name} is a folder")
            if stat.S_ISREG(status.st_mode):
                mode = stat.S_IMODE(status.st_mode) & 0o777
        # The same name each time: a write that a kill interrupted is repeated, and leaves nothing behind.
        temporary = f".{short_hash(os.fsencode(parts[-1]))}.part"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
                if owner:
                    os.fchown(file.fileno(), *owner)
            os.rename(temporary, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise


def change_owner(root: Path, owner: tuple[int, int]) -> None:
    """Make `owner` own everything below `root`, without following links."""
    for _, folders, names, handle in os.fwalk(root, follow_symlinks=False):
        if os.fstat(handle).st_uid != owner[0]:
            os.fchown(handle, *owner)
        for name in (*folders, *names):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(name, dir_fd=handle, follow_symlinks=False).st_uid != owner[0]:
                    os.chown(name, *owner, dir_fd=handle, follow_symlinks=False)


@contextlib.contextmanager
def _open_folder(root: Path, parts: tuple[str, ...], owner: Owner, make: bool) -> Iterator[int]:
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _open_or_make(handle, part, parts, owner, make)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _open_or_make(folder: int, part: str, parts: tuple[str, ...], owner: Owner, make: bool) -> int:
    name = "/".join(parts)
    try:
        return os.open(part, FOLDER_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise FileNotFoundError(f"{name} does not exist") from None
    except OSError as error:
        raise PathRefused(f"{name} is a link or not a folder ({error.strerror})") from None
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o755, dir_fd=folder)
    try:
        handle = os.open(part, FOLDER_FLAGS, dir_fd=folder)
    except OSError as error:
        raise PathRefused(f"{name} is a link or not a folder ({error.strerror})") from None
    if owner:
        os.fchown(handle, *owner)
    return handle
