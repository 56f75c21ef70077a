"""List the files of a folder. Data folders have 200,000 files, so each entry is looked at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.io.csv_text import TableError


class Entry(NamedTuple):
    """A file below a folder: its name relative to it, with `/`, and its bytes."""

    name: str
    size: int


def scan(folder: Path, *, is_strict: bool = False) -> list[Entry]:
    """The regular files below a folder and links to such files, in the order of their names' parts.

    `is_strict`: raises TableError for a link to a folder and for a special file, which are left out otherwise.
    """
    return sorted(_entries(str(folder), "", folder.name, is_strict), key=lambda entry: entry.name.split("/"))


def _entries(path: str, prefix: str, root: str, is_strict: bool) -> Iterator[Entry]:
    with os.scandir(path) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, f"{prefix}{entry.name}/", root, is_strict)
            elif entry.is_file():
                yield Entry(prefix + entry.name, entry.stat().st_size)
            elif is_strict and entry.is_dir():
                raise TableError(f"{entry.name} is a link to a folder; put the folder itself into {root}/")
            elif is_strict:
                raise TableError(f"{entry.name} is neither a file nor a folder")
