"""Where rows stand, labelled ones and those to predict: tables (CSV, TSV, JSON, in zips), file names, a marked file.

A source has a header and yields rows of text, the same each time; `plain` turns a cell into the text it stands for.
Raises `TableError` for what cannot be read.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tasks.io.archives import pack
from tasks.io.csv_text import Row, TableError, iter_rows, write_rows
from tasks.io.path_templates import PathPattern

if TYPE_CHECKING:
    from tasks.task import Labels, Task

RAW_BYTES = 64 << 20
"""A table of more bytes than these is copied line by line, if its lines are its rows."""
FILES, MARKED = "files:", "marked:"
Placed = Callable[[Path], Path]
"""From a file of the task's public folder to where it is written, whose folder is there."""


class Source(Protocol):
    """Rows of text under a header. `paths` are the files that are written anew; none where the files themselves are
    the rows."""

    name: str
    header: Row
    paths: tuple[Path, ...]
    plain: Callable[[str], str]

    def rows(self) -> Iterator[Row]:
        """The rows, without the header."""

    def write_without(self, placed: Placed, taken: Collection[int]) -> dict[int, Row]:
        """Write it without the rows whose numbers are given; returns those rows."""

    def write(self, placed: Placed, rows: Iterable[Row]) -> None:
        """Write it with other rows."""


class Table:
    """A CSV, TSV or JSON table (a list of objects), perhaps inside a zip, perhaps in several identical copies."""

    def __init__(self, places: Sequence[tuple[Path, str]]) -> None:
        self._places = places
        path, member = places[0]
        self.name = (member or path.name).rpartition("/")[2]
        self.paths = tuple(path for path, _ in places)
        self._is_json = self.name.lower().endswith(".json")
        self._delimiter = "\t" if self.name.lower().endswith(".tsv") else ","
        self.plain: Callable[[str], str] = _plain if self._is_json else str
        self.header = next(self._all(), [])

    def _all(self) -> Iterator[Row]:
        with _opened(*self._places[0]) as stream:
            if self._is_json:
                yield from _json_rows(stream, self.name)
                return
            for _, row in iter_rows(stream, self.name, self._delimiter):
                yield row

    def rows(self) -> Iterator[Row]:
        """The rows; cells of JSON are JSON texts, empty where an object lacks the key."""
        return itertools.islice(self._all(), 1, None)

    def write(self, placed: Placed, rows: Iterable[Row]) -> None:
        """Write every copy of it with other rows."""
        (path, member), *copies = self._places
        written = placed(path)
        if member:
            written = written.with_name(f".{written.name}.rows")
        if self._is_json:
            written.write_text(json.dumps([_object(self.header, row) for row in rows], indent=4), encoding="utf-8")
        else:
            write_rows(written, itertools.chain([self.header], rows), delimiter=self._delimiter)
        for copy, name in self._places if member else copies:
            if name:
                pack(placed(copy), [(name, lambda: written.open("rb"))], deflated=True)
            else:
                placed(copy).write_bytes(written.read_bytes())
        if member:
            written.unlink()

    def write_without(self, placed: Placed, taken: Collection[int]) -> dict[int, Row]:
        """Write every copy of it without some rows."""
        moved: dict[int, Row] = {}
        path, member = self._places[0]
        if not member and len(self._places) == 1 and not self._is_json and _lines_are_rows(path):
            for at, line in _copy_lines(path, placed(path), taken):
                moved[at] = line.decode("utf-8", "surrogateescape").rstrip("\n").split(self._delimiter)
            return moved

        def rest() -> Iterator[Row]:
            for at, row in enumerate(self.rows()):
                if at in taken:
                    moved[at] = row
                else:
                    yield row

        self.write(placed, rest())
        return moved


class Names:
    """Rows that are files: their names have fields, and the files are moved, not written."""

    def __init__(self, text: str, public: Path) -> None:
        self._spot, self._public = PathPattern(text), public
        self.name, self.header = f"{FILES}{text}", list(self._spot.names)
        self.paths: tuple[Path, ...] = ()
        self.plain: Callable[[str], str] = str

    def rows(self) -> Iterator[Row]:
        """The fields of each file, in the order of names."""
        for name in sorted(list_candidates(self._public, self._spot)):
            found = self._spot.match(name)
            if found is not None:
                yield [found[field] for field in self.header]

    def write(self, placed: Placed, rows: Iterable[Row]) -> None:
        """Nothing is written."""

    def write_without(self, placed: Placed, taken: Collection[int]) -> dict[int, Row]:
        """The rows taken; nothing is written."""
        return {at: row for at, row in enumerate(self.rows()) if at in taken}


class Marked:
    """One file of `id,labels` lines for labelled rows and those to predict, whose labels are a mark."""

    def __init__(self, path: Path, target: str, mark: str, of_test: bool = False) -> None:
        self._path, self._mark, self._of_test = path, mark, of_test
        self.name = path.name
        self.paths: tuple[Path, ...] = (path,)
        self._head, *self._lines = path.read_text(encoding="utf-8").splitlines()
        self.header = [self._head.partition(",")[0], target]
        self.plain: Callable[[str], str] = str

    def rows(self) -> Iterator[Row]:
        """Id and labels of the labelled rows, or of those to predict."""
        for _, row in self._numbered():
            yield row

    def _numbered(self) -> Iterator[tuple[int, Row]]:
        for at, line in enumerate(self._lines):
            key, _, rest = line.partition(",")
            if line.strip() and (rest.strip() == self._mark) == self._of_test:
                yield at, [key, rest]

    def write(self, placed: Placed, rows: Iterable[Row]) -> None:
        """Nothing more: the labelled rows' writing wrote the file."""

    def write_without(self, placed: Placed, taken: Collection[int]) -> dict[int, Row]:
        """Write the file with the rows taken marked."""
        lines, moved = list(self._lines), {}
        for number, (at, row) in enumerate(self._numbered()):
            if number in taken:
                lines[at], moved[number] = f"{row[0]},{self._mark}", row
        placed(self._path).write_text("\n".join([self._head, *lines]) + "\n", encoding="utf-8")
        return moved


# ---------------------------------------------------------------------------------------------------- finding sources


def labelled_source(task: Task, labels: Labels) -> Source:
    """Where a task's labelled rows stand. Raises TableError."""
    where = labels.where or (str(labels.file),)
    if where[0].startswith(MARKED):
        return Marked(task.folder / where[0].removeprefix(MARKED), labels.targets[0], task.recipe.mark or "?")
    return open_source(task, where)


def open_source(task: Task, where: Sequence[str]) -> Source:
    """The source that a task file names. Raises TableError."""
    if where[0].startswith(FILES):
        return Names(where[0].removeprefix(FILES), task.public)
    parted = [name.partition("!") for name in where]
    return Table([(task.folder / path, member) for path, _, member in parted])


def list_candidates(public: Path, spot: PathPattern) -> list[str]:
    """The names among which a spot's are: of an archive's members, or of the files below the folder it begins with."""
    if spot.archive:
        return list_members(public / spot.archive)
    start = spot.text.partition("{")[0].rpartition("/")[0]
    found = []
    for folder, _, names in os.walk(public / start):
        below = os.path.relpath(folder, public)
        found += [name if below == "." else f"{below}/{name}" for name in names]
    return found


def list_members(path: Path) -> list[str]:
    """The names of the files in a zip. Raises TableError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member.filename for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        raise TableError(f"{path.name} is no zip archive that can be read ({error})") from None


# -------------------------------------------------------------------------------------------------- reading, copying


@contextmanager
def _opened(path: Path, member: str) -> Iterator[TextIO]:
    if not member:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            yield stream
        return
    if list_members(path) != [member]:
        raise TableError(f"{path.name} must hold {member} and nothing else")
    with zipfile.ZipFile(path) as archive, archive.open(member) as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _json_rows(stream: TextIO, name: str) -> Iterator[Row]:
    try:
        objects: list[dict[str, Any]] = json.load(stream)
        header = list(dict.fromkeys(key for one in objects for key in one))
    except (ValueError, TypeError, AttributeError):
        raise TableError(f"{name} is no JSON list of objects") from None
    yield header
    for one in objects:
        yield [json.dumps(one[key]) if key in one else "" for key in header]


def _object(header: Row, row: Row) -> dict[str, Any]:
    return {key: json.loads(cell) for key, cell in zip(header, row, strict=True) if cell}


def _plain(cell: str) -> str:
    return str(json.loads(cell)) if cell.startswith('"') else cell


def _lines_are_rows(path: Path) -> bool:
    """Whether a large CSV can be copied by lines: no quotes, no carriage returns, no blank lines."""
    if path.stat().st_size < RAW_BYTES:
        return False
    last = b""
    with path.open("rb") as file:
        if file.peek(3)[:3] == b"\xef\xbb\xbf":
            return False
        while block := file.read(1 << 24):
            if b'"' in block or b"\r" in block or b"\n\n" in last + block:
                return False
            last = block[-1:]
    return last == b"\n"


def _copy_lines(source: Path, target: Path, taken: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Copy a table but for some rows, which are yielded."""
    with source.open("rb", 1 << 22) as reader, target.open("wb", 1 << 22) as writer:
        writer.writelines(itertools.islice(reader, 1))
        done = 0
        for at in sorted(taken):
            writer.writelines(itertools.islice(reader, at - done))
            yield at, next(reader)
            done = at + 1
        writer.writelines(reader)
        writer.flush()
        os.fsync(writer.fileno())
