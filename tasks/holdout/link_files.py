"""Put files into a split's public folder so that date, mode and inode number do not reveal which rows are held out.

A file is hard-linked if it already has the mode and date that public files get, and if the inode numbers of held-out
and test files are mixed. Otherwise it is copied once into a store, in random order, and linked from there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tasks.io.atomic import FILE_TIME
from tasks.io.hashing import hash_of
from tasks.metrics.ranking import reveals_class
from tasks.progress import counted


def link_rows(
    source: Path, target: Path, names: Mapping[str, str], store: Path, draw: str, held: Collection[str]
) -> None:
    """Show the files of rows under their new names, written in random order; `held` are those of held-out rows."""
    _make_store(store)
    made: set[Path] = set()
    test_folders = {after.rpartition("/")[0] for name, after in names.items() if name in held}
    ordered = sorted(names, key=lambda name: hash_of(f"{draw}:{name}"))
    stats = {name: (source / name).stat() for name in ordered}
    beside_test = [name for name in ordered if name in held or names[name].rpartition("/")[0] in test_folders]
    held_by_inode = [name in held for name in sorted(beside_test, key=lambda name: stats[name].st_ino)]
    can_link = all(map(has_shown_attributes, stats.values())) and not reveals_class(held_by_inode)
    for name in counted(ordered, "copying files of rows"):
        path = target / names[name]
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        if not (can_link and _try_link(source / name, path)):
            _link_from_store(f"{source}/{name}", name, stats[name], str(path), str(store))


def has_shown_attributes(stats: os.stat_result) -> bool:
    """Whether a file already has the mode and date of public files."""
    return stat.S_ISREG(stats.st_mode) and stat.S_IMODE(stats.st_mode) == 0o444 and stats.st_mtime == FILE_TIME


def _try_link(source: Path | str, target: Path | str) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, a file of another owner, too many links
        return False
    return True


def _make_store(store: Path) -> None:
    store.mkdir(mode=0o700, parents=True, exist_ok=True)


def _key(name: str, stats: os.stat_result) -> str:
    """The name in the store of a file as it is now."""
    return hash_of(f"{name}\n{stats.st_size}\n{stats.st_mtime_ns}\n{stats.st_ino}")[:40]


def _link_from_store(source: str, name: str, stats: os.stat_result, target: str, store: str) -> None:
    stored = f"{store}/{_key(name, stats)}"
    if not os.path.lexists(stored):
        draft = f"{stored}.{os.getpid()}.part"
        try:
            _copy(source, draft)
            os.chmod(draft, 0o444)  # noqa: PTH101 - paths as text are three times as fast
            os.utime(draft, (FILE_TIME, FILE_TIME))
            os.rename(draft, stored)  # noqa: PTH104
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    if not _try_link(stored, target):
        _copy(stored, target)


def link_files(source: Path, target: Path, names: Sequence[str], store: Path) -> None:
    """Show files that belong to no row, as one copy for all splits. A link shares mode and date, so a file of the user
    is linked only if it has those of public files."""
    _make_store(store)
    made: set[str] = set()
    for name in counted(names, "copying files"):
        before, after, folder = f"{source}/{name}", f"{target}/{name}", name.rpartition("/")[0]
        if folder not in made:
            os.makedirs(f"{target}/{folder}", exist_ok=True)  # noqa: PTH103 - paths as text are three times as fast
            made.add(folder)
        stats = os.lstat(before)
        if has_shown_attributes(stats) and _try_link(before, after):
            continue
        if stat.S_ISLNK(stats.st_mode):
            stats = os.stat(before)  # noqa: PTH116
        if not _try_link(f"{store}/{_key(name, stats)}", after):
            _link_from_store(before, name, stats, after, str(store))


def _copy(source: str, target: str) -> None:
    """Copy a file's bytes, or share them where the file system can (Btrfs, XFS)."""
    before = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        after = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            while os.copy_file_range(before, after, 1 << 30):
                pass
        finally:
            os.close(after)
    except (OSError, AttributeError):  # not every file system and kernel can
        shutil.copyfile(source, target)
    finally:
        os.close(before)
