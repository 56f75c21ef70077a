"""Put files into a split's public folder so that date, mode and inode number do not reveal which rows are held out.

A file is hard-linked if it already has the mode and date that public files get, and if the inode numbers of held-out
and test files are mixed. Otherwise it is copied once into a store, in random order, and linked from there.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.io.atomic import FILE_TIME
from tasks.io.hashing import hash_of
from tasks.metrics.ranking import reveals_class
from tasks.progress import counted

_THREADS = 4
"""Files are copied side by side, since a copy waits for the system more than for Python."""
_CHUNK = 64
"""Files that a thread takes at once."""


def link_rows(
    source: Path, target: Path, names: Mapping[str, str], store: Path, draw: str, held: Collection[str]
) -> None:
    """Show the files of rows under their new names, written in random order; `held` are those of held-out rows."""
    _make_folders(target, names.values(), store)
    test_folders = {after.rpartition("/")[0] for name, after in names.items() if name in held}
    ordered = sorted(names, key=lambda name: hash_of(f"{draw}:{name}"))
    stats = {name: (source / name).stat() for name in ordered}
    beside_test = [name for name in ordered if name in held or names[name].rpartition("/")[0] in test_folders]
    held_by_inode = [name in held for name in sorted(beside_test, key=lambda name: stats[name].st_ino)]
    can_link = all(map(has_shown_attributes, stats.values())) and not reveals_class(held_by_inode)

    def show(name: str) -> None:
        before, after = f"{source}/{name}", f"{target}/{names[name]}"
        if not (can_link and _try_link(before, after)):
            _link_from_store(before, name, stats[name], after, str(store))

    _for_each(ordered, show, "copying files of rows")


def link_files(source: Path, target: Path, names: Sequence[str], store: Path) -> None:
    """Show files that belong to no row, as one copy for all splits. A link shares mode and date, so a file of the user
    is linked only if it has those of public files."""
    _make_folders(target, names, store)
    _for_each(names, lambda name: _link_file(f"{source}/{name}", f"{target}/{name}", name, store), "copying files")


def has_shown_attributes(stats: os.stat_result) -> bool:
    """Whether a file already has the mode and date of public files."""
    return stat.S_ISREG(stats.st_mode) and stat.S_IMODE(stats.st_mode) == 0o444 and stats.st_mtime == FILE_TIME


def _make_folders(target: Path, names: Collection[str], store: Path) -> None:
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in {name.rpartition("/")[0] for name in names}:
        (target / folder).mkdir(parents=True, exist_ok=True)


def _for_each(names: Sequence[str], act: Callable[[str], None], doing: str) -> None:
    """Act on each name in a few threads, and report how many are done. After an error the rest are left."""

    def act_on(chunk: Sequence[str]) -> Sequence[str]:
        for name in chunk:
            act(name)
        return chunk

    chunks = (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))
    pool = ThreadPoolExecutor(_THREADS, "copy")
    try:
        done = itertools.chain.from_iterable(pool.map(act_on, chunks))
        for _ in counted(done, doing, len(names)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def _link_file(before: str, after: str, name: str, store: Path) -> None:
    stats = os.lstat(before)
    if has_shown_attributes(stats) and _try_link(before, after):
        return
    if stat.S_ISLNK(stats.st_mode):
        stats = os.stat(before)  # noqa: PTH116 - paths as text are three times as fast
    stored = f"{store}/{_key(name, stats)}"
    if not _try_link(stored, after):
        _copy(before, after)
        _try_link(after, stored)  # after the copy is whole; where another process was first, both have the same bytes


def _try_link(source: str, target: str) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, a file of another owner, too many links
        return False
    return True


def _key(name: str, stats: os.stat_result) -> str:
    """The name in the store of a file as it is now."""
    return hash_of(f"{name}\n{stats.st_size}\n{stats.st_mtime_ns}\n{stats.st_ino}")[:40]


def _link_from_store(source: str, name: str, stats: os.stat_result, target: str, store: str) -> None:
    """Show a file of a row, from one folder in which all such files are made: its inode number tells no role."""
    stored = f"{store}/{_key(name, stats)}"
    if not os.path.lexists(stored):
        draft = f"{stored}.{os.getpid()}.part"
        try:
            _copy(source, draft)
            os.rename(draft, stored)  # noqa: PTH104
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    if not _try_link(stored, target):
        _copy(stored, target)


def _copy(source: str, target: str) -> None:
    """Copy a file's bytes, or share them where the file system can (Btrfs, XFS), with mode and date of public files."""
    before = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        after = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _copy_bytes(before, after)
            os.fchmod(after, 0o444)
            os.utime(after, (FILE_TIME, FILE_TIME))
        finally:
            os.close(after)
    finally:
        os.close(before)


def _copy_bytes(before: int, after: int) -> None:
    try:
        while os.copy_file_range(before, after, 1 << 30):
            pass
    except (OSError, AttributeError):  # not every file system and kernel can
        os.lseek(before, 0, os.SEEK_SET)
        os.ftruncate(after, 0)
        os.lseek(after, 0, os.SEEK_SET)
        with open(before, "rb", closefd=False) as reader, open(after, "wb", closefd=False) as writer:
            shutil.copyfileobj(reader, writer)
