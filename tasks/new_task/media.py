"""Files of rows (images, sounds): folders by class, and columns of paths. They get names that tell nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from tasks.data_overview import describe_images
from tasks.errors import TaskError
from tasks.io.atomic import FILE_TIME
from tasks.io.columns import Columns
from tasks.io.csv_text import is_missing
from tasks.modality import AUDIO, IMAGE, KINDS_OF_FILES, TEXT
from tasks.new_task.request import Findings, Progress

LABEL = "label"
TRAIN_FOLDERS = ("train", "training", "train_set")
MIN_CLASS_FILES = 2
PROBED = 30
MAX_TEXT_BYTES = 1 << 20
MAX_PATH, MAX_SUBFOLDERS = 1000, 50
"""Of characters in a cell that names a file, and of subfolders in which it is looked for."""


@dataclass(frozen=True)
class Media:
    """Columns whose cells are paths of files: the folder of each file, by column, and what kind of files they are."""

    base: Path
    kinds: Mapping[str, str] = field(default_factory=dict)


def kind_of(name: str) -> str:
    """`image`, `audio` or `text` by the suffix of a file; empty for anything else."""
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in KINDS_OF_FILES.items() if suffix in suffixes), "")


# ------------------------------------------------------------------------------------------------------ class folders


def read_class_folders(folder: Path, findings: Findings) -> tuple[Columns, Media] | None:
    """The files below a folder with a subfolder for each class; None if it is not such a folder. Raises TaskError.

    Texts become a column of text.
    """
    root = next((folder / name for name in TRAIN_FOLDERS if _classes(folder / name)), folder)
    classes = _classes(root)
    if len(classes) < 2:
        return None
    if root != folder:
        findings.facts.append(f"read the classes in {root.name}/ and nothing else of {folder.name}/")
    paths = [(name, path) for name, files in classes.items() for path in files]
    kind = Counter(kind_of(path.name) for _, path in paths).most_common(1)[0][0]
    used = [(name, path) for name, path in paths if kind_of(path.name) == kind]
    if len(used) < len(paths):
        findings.facts.append(f"left out {len(paths) - len(used)} files that are no {kind} files")
    findings.facts.append(f"{len(used):,} {kind} files in {len(classes)} folders, whose names are the labels")
    labels = [name for name, _ in used]
    if kind == TEXT:
        return Columns([TEXT, LABEL], [[_read_text(path) for _, path in used], labels]), Media(root)
    names = [path.relative_to(root).as_posix() for _, path in used]
    return Columns([kind, LABEL], [names, labels]), Media(root, {kind: kind})


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The media files of each subfolder, at any depth; subfolders without any are no classes."""
    if not folder.is_dir():
        return {}
    found = {}
    for one in sorted(folder.iterdir()):
        if one.is_dir() and not one.name.startswith("."):
            files = sorted(path for path in one.rglob("*") if path.is_file() and kind_of(path.name))
            if len(files) >= MIN_CLASS_FILES:
                found[one.name] = files
    return found


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        return " ".join(file.read(MAX_TEXT_BYTES).decode("utf-8", "replace").split())


# ---------------------------------------------------------------------------------------------------- columns of paths


def find_media(table: Columns, folder: Path, findings: Findings) -> tuple[Columns, Media]:
    """The columns whose cells name files below the folder of the table, and the table with their paths.

    A cell is a path, or a name in a subfolder, with or without its suffix. Raises TaskError.
    """
    kinds = {}
    for name in table.header:
        cells = list(islice((one for one in table.column(name) if not is_missing(one)), PROBED))
        place = _place_of(cells, folder)
        if place is None:
            continue
        paths = [f"{place[0]}{cell}{place[1]}" for cell in table.column(name)]
        kinds[name] = kind_of(paths[0])
        if missing := [path for path in paths if not _is_file(folder / path)]:
            raise TaskError(
                f"{name} names {len(missing):,} files that are not in {folder}, such as {missing[0]!r}. Add them, or "
                "remove these rows."
            )
        table = table.with_column(name, paths)
        where = f" in {place[0]}" if place[0] else ""
        findings.facts.append(f"{name} has paths of {kinds[name]} files{where}")
    return table, Media(folder, kinds)


def _place_of(cells: Sequence[str], folder: Path) -> tuple[str, str] | None:
    """What stands before and behind most cells in the paths of their files; None if they name no files."""
    if not cells or max(map(len, cells)) > MAX_PATH:
        return None
    kind = Counter(map(kind_of, cells)).most_common(1)[0][0]
    if kind and not kind_of(cells[0]):
        return None
    if not kind and len(set(cells)) < len(cells):
        return None
    suffixes = [""] if kind else sorted(KINDS_OF_FILES[IMAGE] | KINDS_OF_FILES[AUDIO])
    for before in ("", *_subfolders(folder)):
        for suffix in suffixes:
            paths = [folder / f"{before}{cell}{suffix}" for cell in cells]
            if any(map(_is_file, paths[:3])) and sum(map(_is_file, paths)) > len(paths) / 2:
                return before, suffix
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _subfolders(folder: Path) -> list[str]:
    """The first subfolders, each with a slash behind it."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [f"{name}/" for name in names[:MAX_SUBFOLDERS]]


def note_left_files(folder: Path) -> list[str]:
    """Advice where a folder with train and test tables also has files, which are not taken into the task."""
    for name in _subfolders(folder):
        kinds = Counter(kind_of(path.name) for path in islice((folder / name).iterdir(), PROBED))
        for kind in (IMAGE, AUDIO):
            if kinds[kind]:
                return [
                    f"the {kind} files in {name} are not part of the task, only the tables are; for a task with them, "
                    "name the table of labelled rows alone, as DATA"
                ]
    return []


# -------------------------------------------------------------------------------------------------------------- writing


def copy_media(
    table: Columns, media: Media, order: Sequence[int], public: Path, findings: Findings, say: Progress
) -> tuple[Columns, tuple[str, ...]]:
    """Copy the files of all rows below `public`, and give the table with their new paths, and their patterns.

    A file is called by its place in `order`, a random one, so its name says nothing about its row.
    """
    patterns = []
    for column, kind in media.kinds.items():
        cells, paths = table.column(column), [""] * len(table)
        folder = f"{kind}s" if len(media.kinds) == 1 else f"{column}"
        (public / folder).mkdir()
        hashes: Counter[bytes] = Counter()
        for number, row in enumerate(order):
            name = f"{folder}/{number:06d}{PurePosixPath(cells[row]).suffix.lower()}"
            paths[row] = name
            hashes[_copy(media.base / cells[row], public / name)] += 1
            if number % 200 == 0:
                say(f"copying {kind} files", number, len(order))
        patterns.append(f"{folder}/*")
        if copies := len(order) - len(hashes):
            findings.advice.append(
                f"{copies} {kind} files are equal to others, and may end up on both sides of a split"
            )
        table = table.with_column(column, paths)
    return table, tuple(patterns)


def _copy(source: Path, target: Path) -> bytes:
    """Copy a file with a fixed date, and give the hash of its content."""
    try:
        shutil.copyfile(source, target)
        os.utime(target, (FILE_TIME, FILE_TIME))
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise TaskError(
            f"{source}: cannot be copied ({error.strerror}). Make it readable, or free some space."
        ) from None


def describe_media(public: Path, media: Media) -> Iterator[str]:
    """A paragraph about each folder of files: their number, and the sizes of images."""
    for column, kind in media.kinds.items():
        folder = f"{kind}s" if len(media.kinds) == 1 else column
        files = sorted((public / folder).iterdir())
        sizes = f"; {describe_images(files)}" if kind == "image" else ""
        yield f"`{column}` is the path of a file below `./data`: {len(files):,} {kind} files in `{folder}/`{sizes}."
