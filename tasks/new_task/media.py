"""Files of rows (images, sounds): folders by class, and columns of paths. They get names that reveal nothing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from tasks.data_overview import describe_images
from tasks.errors import TaskError
from tasks.io.atomic import FILE_TIME
from tasks.io.columns import Columns
from tasks.io.csv_text import as_number, is_missing
from tasks.modality import AUDIO, IMAGE, KINDS_OF_FILES, TEXT
from tasks.new_task.exif import note_telling_exif
from tasks.new_task.request import Findings, Progress

LABEL = "label"
TRAIN_FOLDERS = ("train", "training", "train_set")
PACKED = (".zip", ".7z", ".tar", ".tgz")
NO_CLASSES = frozenset(["image", "images", "img", "imgs", "mask", "masks", "label", "labels", "annotations"])
"""Names of folders that say what is in them."""
_PART = re.compile(r"(train|test)(?:ing|(?:set|data|image|img|file|label)?s?)")
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

    def folder_of(self, column: str) -> str:
        """The folder of a task's data with the files of a column."""
        return f"{self.kinds[column]}s" if len(self.kinds) == 1 else column


def kind_of(name: str) -> str:
    """`image`, `audio` or `text` by the suffix of a file; empty for anything else."""
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in KINDS_OF_FILES.items() if suffix in suffixes), "")


# ------------------------------------------------------------------------------------------------------ class folders


def read_class_folders(folder: Path, findings: Findings) -> tuple[Columns, Media] | None:
    """The files below a folder with a subfolder for each class; None if it is not such a folder. Raises TaskError.

    Texts become a column of text.
    """
    root = class_root(folder)
    if root is None:
        return None
    classes = _classes(root)
    if root != folder:
        findings.facts.append(f"read the classes in {root.name}/ and nothing else of {folder.name}/")
    if small := [name for name in _list_folders(root) if name.rstrip("/") not in classes]:
        findings.facts.append(f"left out folders with fewer than {MIN_CLASS_FILES} files: {', '.join(small[:8])}")
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


def class_root(folder: Path) -> Path | None:
    """The folder itself or its training folder, whichever has a subfolder of files for each class; None for neither."""
    for root in (*(folder / name for name in TRAIN_FOLDERS), folder):
        classes = _classes(root)
        if len(classes) > 1 and not _are_parts(classes):
            return root
    return None


def part_of(name: str) -> str:
    """`train`, `test` or `val` by a word of a name, as in `trainImages`; empty for `latest`, `terrain`, `trainers`."""
    for word in words_of(name):
        if part := _PART.fullmatch(word):
            return part[1]
        if word in ("val", "valid", "validation"):
            return "val"
    return ""


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, as divided by signs, digits and capital letters."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]


def _are_parts(names: Collection[str]) -> bool:
    """Whether folders are called like parts of the data, or like what is in them, and not like classes."""
    parts = set(map(part_of, names))
    return ("train" in parts and len(parts - {""}) > 1) or {name.lower() for name in names} <= NO_CLASSES


def read_folder(folder: Path, kind: str, samples: Sequence[Collection[str]] = ()) -> Columns:
    """The files of one kind below a folder without classes: an id and the path.

    The id is the name without or with suffix, or the path, whichever is a column of the sample submission (`samples`).
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and kind_of(path.name) == kind)
    if not paths:
        raise TaskError(f"{folder}: has no {kind} files, which train has. Name the folder of the files to predict.")
    forms = (
        [path.stem for path in paths],
        [path.name for path in paths],
        [path.relative_to(folder).as_posix() for path in paths],
    )
    distinct = [names for names in forms if len(set(names)) == len(names)]
    names = next((names for names in distinct if any(set(names) == set(one) for one in samples)), distinct[0])
    cells = [_read_text(path) for path in paths] if kind == TEXT else [str(path.absolute()) for path in paths]
    return Columns(["id", kind], [names, cells])


def _classes(folder: Path) -> dict[str, list[Path]]:
    """The media files of each subfolder, at any depth; subfolders without any are not classes."""
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


def find_media(table: Columns, folder: Path, targets: Sequence[str], findings: Findings) -> tuple[Columns, Media]:
    """The columns whose cells name files below the folder of the table, and the table with their paths.

    Targets are not looked at. A cell is a path, or a name in a subfolder, with or without its suffix. Raises TaskError.
    """
    kinds = {}
    for name in table.header:
        if name not in targets and (paths := find_files(table.column(name), name, folder)):
            kinds[name], cell = kind_of(paths[0]), table.column(name)[0]
            table = table.with_column(name, paths)
            where = paths[0].rpartition("/")[0] if paths[0] != cell else ""
            findings.facts.append(f"{name} has paths of {kinds[name]} files{f' in {where}/' if where else ''}")
    return table, Media(folder, kinds)


def find_files(cells: Sequence[str], name: str, folder: Path, part: str = "") -> list[str]:
    """The paths below a folder of the files that the cells of a column name; empty if they name none.

    `part`: train or test; files of the other part are not looked at. Raises TaskError if some of them are missing.
    """
    known = [cell for cell in cells if not is_missing(cell)]
    place = _place_of(known[:PROBED], folder, part)
    is_repeated = len(set(known)) < len(known)
    if place is None or (
        place[1] and is_repeated and as_number(known[0]) is not None
    ):  # as ages do, of 1.png to 99.png
        return []
    paths = [f"{place[0]}{cell}{place[1]}" for cell in cells]
    if missing := [path for path in paths if not kind_of(path) or not _is_file(folder / path)]:
        raise TaskError(
            f"{name} names {len(missing):,} files that are not in {folder} or of another kind, such as {missing[0]!r}. "
            "Add them, or remove these rows."
        )
    return paths


def _place_of(cells: Sequence[str], folder: Path, part: str) -> tuple[str, str] | None:
    """What stands before and behind most cells in the paths of their files; None if they name no files."""
    if not cells or max(map(len, cells)) > MAX_PATH:
        return None
    kind = Counter(map(kind_of, cells)).most_common(1)[0][0]
    if kind and not kind_of(cells[0]):
        return None
    if not kind and len(set(cells)) < len(cells):
        return None
    suffixes = [""] if kind else sorted(KINDS_OF_FILES[IMAGE] | KINDS_OF_FILES[AUDIO])
    for before in ("", *_subfolders(folder, part)):
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


def _subfolders(folder: Path, part: str = "") -> list[str]:
    """The first subfolders and theirs, each with a slash behind it; those of the part first, and none of the other."""
    names = _list_folders(folder)
    names += [f"{name}{inner}" for name in names for inner in _list_folders(folder / name)]
    if part:
        other = "test" if part == "train" else "train"
        parts = {name: [part_of(one) for one in name.split("/")] for name in names}
        names = sorted((name for name in names if other not in parts[name]), key=lambda name: part not in parts[name])
    return names[:MAX_SUBFOLDERS]


def _list_folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(f"{entry.name}/" for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def note_left_files(folder: Path) -> list[str]:
    """Advice where a folder with train and test tables also has files or archives that no column of both names."""
    packed = (path.name for path in sorted(folder.iterdir()) if path.suffix.lower() in PACKED)
    if name := next((name for name in packed if not name.lower().endswith((".csv.zip", ".tsv.zip"))), ""):
        return [f"{name} is packed; if its files belong to the rows, unpack it there, and make the task again"]
    for name in _list_folders(folder):
        kinds = Counter(kind_of(path.name) for path in islice((folder / name).iterdir(), PROBED))
        for kind in (IMAGE, AUDIO):
            if kinds[kind]:
                return [
                    f"the {kind} files in {name} are not part of the task, because no column of train and test names "
                    "them; add a column with their paths to both tables"
                ]
    return []


def note_telling_media(table: Columns, media: Media, labels: Sequence[str]) -> list[str]:
    """Advice where the metadata of images tells the only label of their rows."""
    columns = [column for column, kind in media.kinds.items() if kind == IMAGE]
    if len(labels) > 1 or not columns:
        return []
    paths = [media.base / cell for cell in table.column(columns[0])]
    return note_telling_exif(paths, table.column(labels[0]))


# -------------------------------------------------------------------------------------------------------------- writing


def copy_media(
    table: Columns, media: Media, order: Sequence[int], public: Path, findings: Findings, say: Progress
) -> tuple[Columns, tuple[str, ...]]:
    """Copy the files of all rows below `public`, and give the table with their new paths, and their patterns.

    A file is called by its place in `order`, a random one, so its name says nothing about its row.
    """
    patterns = []
    for column, kind in media.kinds.items():
        folder = media.folder_of(column)
        (public / folder).mkdir()
        cells, paths = table.column(column), [""] * len(table)
        hashes: Counter[bytes] = Counter()
        for number, row in enumerate(order):
            paths[row] = f"{folder}/{number:06d}{PurePosixPath(cells[row]).suffix.lower()}"
            hashes[_copy(media.base / cells[row], public / paths[row])] += 1
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
        folder = media.folder_of(column)
        files = sorted((public / folder).iterdir())
        sizes = f"; {describe_images(files)}" if kind == "image" else ""
        yield f"`{column}` is the path of a file below `./data`: {len(files):,} {kind} files in `{folder}/`{sizes}."
