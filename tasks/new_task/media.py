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
from tasks.modality import KINDS_OF_FILES, TEXT
from tasks.new_task.request import Findings, Progress

LABEL = "label"
TRAIN_FOLDERS = ("train", "training", "train_set")
MIN_CLASS_FILES = 2
PROBED = 30
MAX_TEXT_BYTES = 1 << 20


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


def find_media(table: Columns, folder: Path, findings: Findings) -> Media:
    """The columns whose cells are paths of files, relative to the folder of the table. Raises TaskError."""
    kinds = {}
    for name in table.header:
        cells = list(islice((one for one in table.column(name) if not is_missing(one)), PROBED))
        kind = Counter(map(kind_of, cells)).most_common(1)[0][0] if cells else ""
        if kind and kind_of(cells[0]) and sum((folder / cell).is_file() for cell in cells) > len(cells) / 2:
            kinds[name] = kind
            missing = [cell for cell in table.column(name) if not (folder / cell).is_file()]
            if missing:
                raise TaskError(
                    f"{name} names {len(missing):,} files that are not in {folder}, such as {missing[0]!r}. Add them, "
                    "or remove these rows."
                )
            findings.facts.append(f"{name} has paths of {kind} files")
    return Media(folder, kinds)


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
