"""The files of a blend that hold no table of the task: shown as they are, where they carry no second copy of labels."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.cells import TableError, read_rows

if TYPE_CHECKING:
    from tasks.spec import Labels, Task

MOMENT = 946_684_800
"""The one modification time of every file of a blend: dates would tell which rows moved (seconds since 1970)."""

PLAIN = (".md", ".txt", ".csv", ".html", ".pdf")
"""Kinds of files that need no word in a recipe that is guessed: they are read as text, or people read them."""


def refuse_copies(task: Task, labels: Labels, replaced: Collection[Path], held_out: Collection[str]) -> None:
    """No other file may plainly be a second copy of the labels that are held out."""
    for path in sorted(task.public.rglob("*")):
        name = path.relative_to(task.public).as_posix()
        if path in replaced or not path.is_file() or task.recipe.is_omitted(name) or task.recipe.is_static(name):
            continue
        if path.suffix.lower() == ".csv" and _tells(path, labels, held_out):
            raise TableError(f"{path.name} holds labels of rows of {labels.file.name} too; take it out of public")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [name.rpartition("/")[2] for name in archive.namelist()]
            if labels.file.name in names:
                raise TableError(f"{path.name} contains a copy of {labels.file.name}; take it out of public")


def unspoken(task: Task, replaced: Collection[Path]) -> tuple[str, ...]:
    """Notes on files shown by a guess. Raises TableError for one that a written recipe does not speak of."""
    guessed = []
    for path in sorted(task.public.rglob("*")):
        name = path.relative_to(task.public).as_posix()
        if path in replaced or not path.is_file() or task.recipe.is_static(name) or task.recipe.is_omitted(name):
            continue
        if task.recipe.is_written and path.suffix.lower() not in (".md", ".txt"):
            raise TableError(
                f"no line of `blend:` speaks of {name}: add it to `static:` if it carries no label of any training "
                "row, else to `omit:`"
            )
        if path.suffix.lower() not in PLAIN:
            guessed.append(name)
    if not guessed:
        return ()
    named = ", ".join(guessed[:5]) + (f" and {len(guessed) - 5} more" if len(guessed) > 5 else "")
    return (f"guessed that {named} carry no label; say so in `blend: {{static: [...]}}`, or omit them",)


def _tells(path: Path, labels: Labels, held_out: Collection[str]) -> bool:
    rows = read_rows(path)
    header = next(rows, [])
    if labels.id not in header or not set(labels.targets) & set(header):
        return False
    at = header.index(labels.id)
    return any(row[at] in held_out for row in rows)


def copy_others(task: Task, replaced: Collection[Path], target: Path) -> None:
    """Show every file but those replaced or omitted, of one date and mode. Raises TableError."""
    source = task.public
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_symlink() and path.is_dir():
            raise TableError(f"{path.name} is a link to a folder; put the folder itself into {source.name}/")
        if path.is_dir():
            place.mkdir(exist_ok=True, parents=True)
        elif not path.is_file():
            raise TableError(f"{path.name} is neither a file nor a folder")
        elif path not in replaced and not task.recipe.is_omitted(path.relative_to(source).as_posix()):
            _link_or_copy(path, _made(place))


def _link_or_copy(path: Path, place: Path) -> None:
    found = path.lstat()
    # Only a file that already is as a blend's files are: a link shares mode and date, and the owner's stay his.
    if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o444 and found.st_mtime == MOMENT:
        try:
            os.link(path, place)
            return
        except OSError:
            pass
    shutil.copyfile(path, place)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
