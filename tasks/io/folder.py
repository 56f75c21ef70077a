"""List the files of a folder. Data folders have 200,000 files, so each entry is looked at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from tasks.io.csv_text import TableError
from tasks.progress import counted


class Entry(NamedTuple):
    """A file below a folder: its name relative to it, with `/`, and its bytes."""

    name: str
    size: int


def scan(folder: Path) -> list[Entry]:
    """The regular files below a folder and links to such files, in the order of their names' parts."""
    files = _files(str(folder), "", folder.name, False)
    return [Entry(name, entry.stat().st_size) for name, entry in counted(files, "listing the files")]


def list_names(folder: Path, *, is_strict: bool = False) -> list[str]:
    """The names that `scan` gives, without looking at the files' sizes.

    `is_strict`: raises TableError for a link to a folder and for a special file, which are left out otherwise.
    """
    files = _files(str(folder), "", folder.name, is_strict)
    return [name for name, _ in counted(files, "listing the files")]


def _files(path: str, prefix: str, root: str, is_strict: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(path) as found:
        entries = sorted(found, key=attrgetter("name"))
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, f"{prefix}{entry.name}/", root, is_strict)
        elif entry.is_file():
            yield prefix + entry.name, entry
        elif is_strict and entry.is_dir():
            raise TableError(f"{entry.name} is a link to a folder; put the folder itself into {root}/")
        elif is_strict:
            raise TableError(f"{entry.name} is neither a file nor a folder")
