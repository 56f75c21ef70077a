"""Files of a workspace, taken and put back by the harness itself, never by git: no link is followed, nothing is run.

An agent may swap a file for a link while it is read, so every step goes through an open folder and refuses links.
Names are bytes: an agent may use any.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FILE_CAP = 20_000_000
TOTAL_CAP = 500_000_000
COUNT_CAP = 20_000
DEPTH_CAP = 40

LINK = b"120000"
KEPT_APART = frozenset({b"data", b".jobs"})
"""Entries at the top of a workspace that are the sandbox's: never taken, never touched."""
_NOT_TAKEN = KEPT_APART | {b"submission.csv"}
_NEVER_TAKEN = frozenset({b"__pycache__", b".ipynb_checkpoints"})


@dataclass(frozen=True)
class Caps:
    """How much of a workspace is taken: bytes of one file, bytes in all, files, folders within folders."""

    file: int = FILE_CAP
    total: int = TOTAL_CAP
    count: int = COUNT_CAP
    depth: int = DEPTH_CAP


@dataclass(frozen=True)
class Taken:
    """One file as it is kept: `path` relative to the workspace, `mode` as git writes it; of a link, its target."""

    path: bytes
    mode: bytes
    content: bytes


@dataclass(frozen=True)
class LeftOut:
    """One entry that is not kept, and why."""

    path: bytes
    why: str

    def __str__(self) -> str:
        return f"{self.path.decode('utf-8', 'backslashreplace')} ({self.why})"


def take(workspace: Path, caps: Caps = Caps()) -> Iterator[Taken | LeftOut]:
    """Read a workspace, in the order of names. Raises OSError where it is not a folder that can be read."""
    room = _Room(caps)
    with _folder(workspace) as root:
        yield from _take(root, b"", 0, room)


class _Room:
    """What is left of the caps."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.bytes = caps.total
        self.files = caps.count

    def refuses(self, size: int) -> str:
        if size > self.caps.file:
            return f"larger than {self.caps.file:,} bytes"
        if size > self.bytes:
            return f"more than {self.caps.total:,} bytes in all"
        return f"more than {self.caps.count:,} files" if self.files <= 0 else ""

    def fill(self, size: int) -> None:
        self.bytes -= size
        self.files -= 1


def _take(folder: int, prefix: bytes, depth: int, room: _Room) -> Iterator[Taken | LeftOut]:
    for name in sorted(_names(folder)):
        if name in _NEVER_TAKEN or (depth == 0 and name in _NOT_TAKEN):
            continue
        path = prefix + name
        try:
            status = os.lstat(name, dir_fd=folder)
            if name.lower() == b".git":
                yield LeftOut(path, "a git repository within the workspace")
            elif stat.S_ISDIR(status.st_mode):
                yield from _take_folder(folder, name, path, depth, room)
            else:
                yield _take_file(folder, name, path, status, room)
        except FileNotFoundError:
            continue  # gone since it was listed
        except OSError as error:
            yield LeftOut(path, f"not readable: {error.strerror}")


def _take_folder(parent: int, name: bytes, path: bytes, depth: int, room: _Room) -> Iterator[Taken | LeftOut]:
    if depth + 1 >= room.caps.depth:
        yield LeftOut(path, f"more than {room.caps.depth} folders deep")
        return
    with _folder(name, parent) as folder:
        yield from _take(folder, path + b"/", depth + 1, room)


def _take_file(parent: int, name: bytes, path: bytes, status: os.stat_result, room: _Room) -> Taken | LeftOut:
    if stat.S_ISLNK(status.st_mode):
        mode, content = LINK, os.readlink(name, dir_fd=parent)
    elif not stat.S_ISREG(status.st_mode):
        return LeftOut(path, "not a regular file")
    elif why := room.refuses(status.st_size):
        return LeftOut(path, why)
    else:
        mode, content = _read(parent, name, room.caps.file)
    if why := room.refuses(len(content)):
        return LeftOut(path, why)
    room.fill(len(content))
    return Taken(path, mode, content)


def _read(parent: int, name: bytes, cap: int) -> tuple[bytes, bytes]:
    # Without blocking, should it have become a pipe since it was looked at.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it changed while it was read")
        return (b"100755" if status.st_mode & stat.S_IXUSR else b"100644"), file.read(cap + 1)


def put(files: Iterable[Taken], into: Path) -> None:
    """Write files into a folder that has none of them. They get the owner of the folder, where we may give it."""
    with _folder(into) as root:
        owner = os.fstat(root)
        for file in files:
            *folders, name = file.path.split(b"/")
            _put(root, folders, name, file, owner)


def _put(folder: int, folders: list[bytes], name: bytes, file: Taken, owner: os.stat_result) -> None:
    if folders:
        with suppress(FileExistsError):
            os.mkdir(folders[0], 0o755, dir_fd=folder)
        with _folder(folders[0], folder) as inner:
            _give(inner, owner)
            return _put(inner, folders[1:], name, file, owner)
    if file.mode == LINK:
        os.symlink(file.content, name, dir_fd=folder)
        return None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as target:
        target.write(file.content)
        os.fchmod(descriptor, 0o755 if file.mode == b"100755" else 0o644)
        _give(descriptor, owner)
    return None


def _give(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def clear(workspace: Path) -> None:
    """Remove all of a workspace but `data` and `.jobs`, whatever an agent made of it."""
    with _folder(workspace) as root:
        _unlock(root)
        while names := [name for name in _names(root) if name not in KEPT_APART]:
            for name in names:
                _remove(root, name, root, 0)


def _remove(parent: int, name: bytes, root: int, depth: int) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
        os.unlink(name, dir_fd=parent)
    elif depth >= DEPTH_CAP:
        # Thousands of folders within folders exhaust descriptors: carry on with the rest from the top.
        os.rename(name, b".removed-" + secrets.token_hex(8).encode(), src_dir_fd=parent, dst_dir_fd=root)
    else:
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=parent)
            folder = os.open(name, _FOLDER, dir_fd=parent)
        try:
            _unlock(folder)
            for inner in _names(folder):
                _remove(folder, inner, root, depth + 1)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=parent)


def _unlock(folder: int) -> None:
    with suppress(OSError):
        os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | stat.S_IRWXU)


def _names(folder: int) -> list[bytes]:
    with os.scandir(folder) as entries:
        return [os.fsencode(entry.name) for entry in entries]


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def _folder(name: Path | bytes, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
