"""Reads a workspace and writes it back, without git: no link is followed, and nothing is run.

An agent may replace a file by a link while it is read, so every step works on an open folder and refuses links. Names
are bytes: an agent may use any.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

FILE_CAP = 20_000_000
TOTAL_CAP = 500_000_000
COUNT_CAP = 20_000
DEPTH_CAP = 40

LINK = b"120000"
SANDBOX_ENTRIES = frozenset({b"data", b".jobs"})
"""Entries at the top of a workspace that belong to the sandbox: never read, never changed."""
NOTES, KEPT, PARENTS = "NOTES.md", ".kept", "parents"
"""The model's notes, the folder with files that `restore` replaced, and that with files of an attempt's other parents:
in no commit."""
_NOT_STORED = SANDBOX_ENTRIES | {b"submission.csv", NOTES.encode(), KEPT.encode(), PARENTS.encode()}
_CACHES = frozenset({b"__pycache__", b".ipynb_checkpoints"})


@dataclass(frozen=True)
class Caps:
    """How much of a workspace is stored: bytes of one file, bytes in all, number of files, depth of folders."""

    file: int = FILE_CAP
    total: int = TOTAL_CAP
    count: int = COUNT_CAP
    depth: int = DEPTH_CAP


@dataclass(frozen=True)
class StoredFile:
    """One stored file: `path` relative to the workspace, `mode` as git writes it, and content (of a link: target)."""

    path: bytes
    mode: bytes
    content: bytes


@dataclass(frozen=True)
class LeftOut:
    """One entry that is not stored, and why."""

    path: bytes
    why: str

    def __str__(self) -> str:
        return f"{self.path.decode('utf-8', 'backslashreplace')} ({self.why})"


def read_files(
    workspace: Path, caps: Caps = Caps(), first: Sequence[Callable[[bytes], bool]] = ()
) -> Iterator[StoredFile | LeftOut]:
    """Read a workspace, in the order of names. Raises OSError if it is not a readable folder.

    Paths for which the first function of `first` holds come before all others, then those of the second, and so on. So
    the caps leave out the other files.
    """
    allowance = _Allowance(caps)
    with _open_folder(workspace) as root:
        for turn in range(len(first) + 1):
            chosen = partial(_comes_in_turn, first, turn)
            # What is wrong with a folder is said in each turn.
            yield from (item for item in _read_folder(root, b"", 0, allowance, chosen) if chosen(item.path))


def _comes_in_turn(first: Sequence[Callable[[bytes], bool]], turn: int, path: bytes) -> bool:
    return turn == next((at for at, holds in enumerate(first) if holds(path)), len(first))


class _Allowance:
    """What the caps still allow."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.bytes = caps.total
        self.files = caps.count

    def refuses(self, size: int) -> str:
        """Why a file of this size is not stored; empty if it is."""
        if size > self.caps.file:
            return f"larger than {self.caps.file:,} bytes"
        if size > self.bytes:
            return f"more than {self.caps.total:,} bytes in all"
        return f"more than {self.caps.count:,} files" if self.files <= 0 else ""

    def use(self, size: int) -> None:
        self.bytes -= size
        self.files -= 1


def _read_folder(
    folder: int, prefix: bytes, depth: int, allowance: _Allowance, chosen: Callable[[bytes], bool]
) -> Iterator[StoredFile | LeftOut]:
    for name in sorted(_names(folder)):
        if name in _CACHES or (depth == 0 and name in _NOT_STORED):
            continue
        path = prefix + name
        try:
            status = os.lstat(name, dir_fd=folder)
            if name.lower() == b".git":
                yield LeftOut(path, "a git repository inside the workspace")
            elif _is_refused_by_git(name, stat.S_ISLNK(status.st_mode)):
                yield LeftOut(path, "git refuses this name")
            elif stat.S_ISDIR(status.st_mode):
                yield from _read_subfolder(folder, name, path, depth, allowance, chosen)
            elif chosen(path):
                yield _read_entry(folder, name, path, status, allowance)
        except FileNotFoundError:
            continue  # removed since it was listed
        except OSError as error:
            yield LeftOut(path, f"not readable: {error.strerror}")


_IGNORED_BY_HFS = str.maketrans(
    "", "", "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)
_GITMODULES = re.compile(r"\.gitmodules|gitmod~[1-4]|(?=.{8}$)g?i?7?e?b?a?~[1-9][0-9]*")
"""With the short names that Windows may give the file; the second kind has eight characters."""


def _is_refused_by_git(name: bytes, is_link: bool) -> bool:
    """Whether git would refuse to check a name out, as another spelling of `.git` (or, of a link, of `.gitmodules`) on
    Windows or macOS. Such a file would make the whole commit unreadable for GitPython and for `git clone`."""
    for part in os.fsdecode(name).split("\\"):
        windows = part.split(":", 1)[0].rstrip(" .").lower()
        macos = part.translate(_IGNORED_BY_HFS).lower()
        if windows in (".git", "git~1") or macos == ".git":
            return True
        if is_link and (_GITMODULES.fullmatch(windows) or macos == ".gitmodules"):
            return True
    return False


def _read_subfolder(
    parent: int, name: bytes, path: bytes, depth: int, allowance: _Allowance, chosen: Callable[[bytes], bool]
) -> Iterator[StoredFile | LeftOut]:
    if depth + 1 >= allowance.caps.depth:
        yield LeftOut(path, f"more than {allowance.caps.depth} folders deep")
        return
    with _open_folder(name, parent) as folder:
        yield from _read_folder(folder, path + b"/", depth + 1, allowance, chosen)


def _read_entry(
    parent: int, name: bytes, path: bytes, status: os.stat_result, allowance: _Allowance
) -> StoredFile | LeftOut:
    if stat.S_ISLNK(status.st_mode):
        mode, content = LINK, os.readlink(name, dir_fd=parent)
    elif not stat.S_ISREG(status.st_mode):
        return LeftOut(path, "not a regular file")
    elif why := allowance.refuses(status.st_size):
        return LeftOut(path, why)
    else:
        mode, content = _read_content(parent, name, allowance.caps.file)
    if why := allowance.refuses(len(content)):
        return LeftOut(path, why)
    allowance.use(len(content))
    return StoredFile(path, mode, content)


def _read_content(parent: int, name: bytes, cap: int) -> tuple[bytes, bytes]:
    # Non-blocking, in case it has become a pipe since it was listed.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it changed while it was read")
        return (b"100755" if status.st_mode & stat.S_IXUSR else b"100644"), file.read(cap + 1)


def write_files(files: Iterable[StoredFile], into: Path) -> None:
    """Write files into a folder that has none of them. They get the owner of the folder if we run as root."""
    with _open_folder(into) as root:
        owner = os.fstat(root)
        for file in files:
            *folders, name = file.path.split(b"/")
            _write_file(root, folders, name, file, owner)


def _write_file(folder: int, folders: list[bytes], name: bytes, file: StoredFile, owner: os.stat_result) -> None:
    if folders:
        with suppress(FileExistsError):
            os.mkdir(folders[0], 0o755, dir_fd=folder)
        with _open_folder(folders[0], folder) as inner:
            _change_owner(inner, owner)
            return _write_file(inner, folders[1:], name, file, owner)
    if file.mode == LINK:
        os.symlink(file.content, name, dir_fd=folder)
        return None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as target:
        target.write(file.content)
        os.fchmod(descriptor, 0o755 if file.mode == b"100755" else 0o644)
        _change_owner(descriptor, owner)
    return None


def _change_owner(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def clear_workspace(workspace: Path) -> None:
    """Remove everything in a workspace but `data` and `.jobs`, whatever permissions and depth an agent gave it."""
    with _open_folder(workspace) as root:
        _make_writable(root)
        while names := [name for name in _names(root) if name not in SANDBOX_ENTRIES]:
            for name in names:
                _remove(root, name, root, 0)


def _remove(parent: int, name: bytes, root: int, depth: int) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
        os.unlink(name, dir_fd=parent)
    elif depth >= DEPTH_CAP:
        # Thousands of nested folders would exhaust file descriptors: move the rest to the top and continue there.
        os.rename(name, b".removed-" + secrets.token_hex(8).encode(), src_dir_fd=parent, dst_dir_fd=root)
    else:
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=parent)
            folder = os.open(name, _FOLDER, dir_fd=parent)
        try:
            _make_writable(folder)
            for inner in _names(folder):
                _remove(folder, inner, root, depth + 1)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=parent)


def _make_writable(folder: int) -> None:
    with suppress(OSError):
        os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) | stat.S_IRWXU)


def _names(folder: int) -> list[bytes]:
    with os.scandir(folder) as entries:
        return [os.fsencode(entry.name) for entry in entries]


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def _open_folder(name: Path | bytes, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
