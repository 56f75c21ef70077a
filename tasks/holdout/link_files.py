"""How a blend's files come to lie where they are shown: linked, so that neither date, mode nor number tells of rows.

A file is linked from where it is if it already looks as a blend's files do, and if the numbers (inodes) of those held
out and of the test set are mixed. Otherwise it is copied once into a store, in random order, and linked from there.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from tasks.io.atomic import replacing
from tasks.io.hashing import hash_of
from tasks.leakage.order import reveals_class

FILE_TIME = 946_684_800
"""The one modification time of every file of a blend: dates would tell which rows moved (seconds since 1970)."""


def link_rows(
    source: Path, target: Path, names: Mapping[str, str], store: Path, draw: str, held: Collection[str]
) -> None:
    """Show the files of rows under their new names, written in random order; `held` are those that are held out."""
    made: set[Path] = set()
    to_predict = {after.rpartition("/")[0] for name, after in names.items() if name in held}
    ordered = sorted(names, key=lambda name: hash_of(f"{draw}:{name}"))
    found = {name: (source / name).stat() for name in ordered}
    beside = [name for name in ordered if name in held or names[name].rpartition("/")[0] in to_predict]
    by_number = [name in held for name in sorted(beside, key=lambda name: found[name].st_ino)]
    are_plain = all(map(has_shown_attributes, found.values())) and not reveals_class(by_number)
    for name in ordered:
        place = target / names[name]
        if place.parent not in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            made.add(place.parent)
        if not (are_plain and _linked(source / name, place)):
            _link_stored(source / name, name, found[name], place, store)


def has_shown_attributes(found: os.stat_result) -> bool:
    """Whether a file already has the mode and date of a blend's files."""
    return stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o444 and found.st_mtime == FILE_TIME


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, a file that is not ours, too many links
        return False
    return True


def _link_stored(source: Path, name: str, found: os.stat_result, target: Path, store: Path) -> None:
    told = f"{name}\n{found.st_size}\n{found.st_mtime_ns}\n{found.st_ino}"
    kept = store / hash_of(told)[:40]
    if not kept.exists():
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(kept) as draft:
            shutil.copyfile(source, draft)
            draft.chmod(0o444)
            os.utime(draft, (FILE_TIME, FILE_TIME))
    if not _linked(kept, target):
        shutil.copyfile(kept, target)


def link_or_copy(path: Path, place: Path) -> None:
    """Show a file that belongs to no row. A link shares mode and date, so the owner's files are copied."""
    if not (has_shown_attributes(path.lstat()) and _linked(path, place)):
        shutil.copyfile(path, place)
