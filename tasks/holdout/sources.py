"""Where rows come from, labelled or to predict: tables (CSV, TSV, JSON, in zips), file names, a marked file.

A source has a header and yields rows of text, the same each time; `plain` converts a cell to the text it stands for.
Raises `TableError` for files that cannot be read.
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

COPY_LINES_BYTES = 64 << 20
"""A larger table is copied line by line, if its lines are its rows."""
FILES, MARKED = "files:", "marked:"
TargetOf = Callable[[Path], Path]
"""Maps a file of the task's public folder to the path it is written to, whose folder exists."""
Order = Sequence[int] | None
Edit = Callable[[Row], Row] | None


class Source(Protocol):
    """Rows of text under a header. `paths` are the files that are rewritten; none if the rows are files themselves."""

    name: str
    header: Row
    paths: tuple[Path, ...]
    plain: Callable[[str], str]

    def rows(self) -> Iterator[Row]:
        """The rows, without the header."""

    def write_without(
        self, target_of: TargetOf, removed: Collection[int], order: Order = None, edit: Edit = None
    ) -> dict[int, Row]:
        """Write it without the rows with these numbers; returns those rows.

        `order` lists the numbers of all rows as they are to be written, where the rows of a table may be moved; `edit`
        then changes each row that is written.
        """

    def write(self, target_of: TargetOf, rows: Iterable[Row]) -> None:
        """Write it with other rows."""


class Table:
    """A CSV, TSV or JSON table (a list of objects), possibly inside a zip, possibly in several identical copies."""

    def __init__(self, files: Sequence[tuple[Path, str]]) -> None:
        self._files = files
        path, member = files[0]
        self.name = (member or path.name).rpartition("/")[2]
        self.paths = tuple(path for path, _ in files)
        self._is_json = self.name.lower().endswith(".json")
        self._delimiter = "\t" if self.name.lower().endswith(".tsv") else ","
        self.plain: Callable[[str], str] = _json_cell_text if self._is_json else str
        self.header = next(self._rows_with_header(), [])

    def moved(self, target_of: TargetOf) -> Table:
        """The same table in other files."""
        return Table([(target_of(path), member) for path, member in self._files])

    def _rows_with_header(self) -> Iterator[Row]:
        with _open_text(*self._files[0]) as stream:
            if self._is_json:
                yield from _json_rows(stream, self.name)
                return
            for _, row in iter_rows(stream, self.name, self._delimiter):
                yield row

    def rows(self) -> Iterator[Row]:
        """The rows; cells of JSON are JSON texts, empty if an object lacks the key."""
        return itertools.islice(self._rows_with_header(), 1, None)

    def write(self, target_of: TargetOf, rows: Iterable[Row]) -> None:
        """Write every copy of it with other rows."""
        (path, member), *copies = self._files
        written = target_of(path)
        if member:
            written = written.with_name(f".{written.name}.rows")
        if self._is_json:
            written.write_text(json.dumps([_object(self.header, row) for row in rows], indent=4), encoding="utf-8")
        else:
            write_rows(written, itertools.chain([self.header], rows), delimiter=self._delimiter)
        for copy, name in self._files if member else copies:
            if name:
                pack(target_of(copy), [(name, lambda: written.open("rb"))], deflated=True)
            else:
                target_of(copy).write_bytes(written.read_bytes())
        if member:
            written.unlink()

    def write_without(
        self, target_of: TargetOf, removed: Collection[int], order: Order = None, edit: Edit = None
    ) -> dict[int, Row]:
        """Write every copy of it without some rows, which are returned."""
        moved: dict[int, Row] = {}
        path, member = self._files[0]
        if order is None and not member and len(self._files) == 1 and not self._is_json and _lines_are_rows(path):
            for number, line in _copy_lines(path, target_of(path), removed):
                moved[number] = line.decode("utf-8", "surrogateescape").rstrip("\n").split(self._delimiter)
            return moved

        def kept() -> Iterator[Row]:
            for number, row in enumerate(self.rows()):
                if number in removed:
                    moved[number] = row
                else:
                    yield row

        if order is None:
            self.write(target_of, kept())
            return moved
        rows = list(self.rows())
        remaining = (rows[number] for number in order if number not in removed)
        self.write(target_of, map(edit, remaining) if edit else remaining)
        return {number: rows[number] for number in removed}


class FileNames:
    """Rows that are files: their names contain the fields, and the files are moved, not rewritten."""

    def __init__(self, text: str, public: Path) -> None:
        self._pattern, self._public = PathPattern(text), public
        self.name, self.header = f"{FILES}{text}", list(self._pattern.names)
        self.paths: tuple[Path, ...] = ()
        self.plain: Callable[[str], str] = str

    def rows(self) -> Iterator[Row]:
        """The fields of each file, sorted by file name."""
        for name in sorted(list_candidates(self._public, self._pattern)):
            fields = self._pattern.match(name)
            if fields is not None:
                yield [fields[field] for field in self.header]

    def write(self, target_of: TargetOf, rows: Iterable[Row]) -> None:
        """Write nothing: the files are moved elsewhere."""

    def write_without(
        self, target_of: TargetOf, removed: Collection[int], order: Order = None, edit: Edit = None
    ) -> dict[int, Row]:
        """The removed rows; nothing is written."""
        return {number: row for number, row in enumerate(self.rows()) if number in removed}


class MarkedFile:
    """One file of `id,labels` lines for labelled rows and rows to predict; the labels of the latter are a mark."""

    def __init__(self, path: Path, target: str, mark: str, of_test: bool = False) -> None:
        self._path, self._mark, self._of_test = path, mark, of_test
        self.name = path.name
        self.paths: tuple[Path, ...] = (path,)
        self._header_line, *self._lines = path.read_text(encoding="utf-8").splitlines()
        self.header = [self._header_line.partition(",")[0], target]
        self.plain: Callable[[str], str] = str

    def rows(self) -> Iterator[Row]:
        """Id and labels of the labelled rows, or of those to predict."""
        for _, row in self._numbered():
            yield row

    def _numbered(self) -> Iterator[tuple[int, Row]]:
        for number, line in enumerate(self._lines):
            key, _, rest = line.partition(",")
            if line.strip() and (rest.strip() == self._mark) == self._of_test:
                yield number, [key, rest]

    def write(self, target_of: TargetOf, rows: Iterable[Row]) -> None:
        """Write nothing: `write_without` of the labelled rows has written the file."""

    def write_without(
        self, target_of: TargetOf, removed: Collection[int], order: Order = None, edit: Edit = None
    ) -> dict[int, Row]:
        """Write the file with the removed rows marked."""
        lines, moved = list(self._lines), {}
        for number, (line_number, row) in enumerate(self._numbered()):
            if number in removed:
                lines[line_number], moved[number] = f"{row[0]},{self._mark}", row
        target_of(self._path).write_text("\n".join([self._header_line, *lines]) + "\n", encoding="utf-8")
        return moved


# ---------------------------------------------------------------------------------------------------- finding sources


def labelled_source(task: Task, labels: Labels) -> Source:
    """The source of a task's labelled rows. Raises TableError."""
    where = labels.where or (str(labels.file),)
    if where[0].startswith(MARKED):
        return MarkedFile(task.folder / where[0].removeprefix(MARKED), labels.targets[0], task.recipe.mark or "?")
    return open_source(task, where)


def open_source(task: Task, where: Sequence[str]) -> Source:
    """The source that a task file names. Raises TableError."""
    if where[0].startswith(FILES):
        return FileNames(where[0].removeprefix(FILES), task.public)
    files = [name.partition("!") for name in where]
    return Table([(task.folder / path, member) for path, _, member in files])


def list_candidates(public: Path, pattern: PathPattern) -> list[str]:
    """The names that a pattern may match: members of its archive, or files below the folder it begins with."""
    if pattern.archive:
        return list_members(public / pattern.archive)
    start = pattern.text.partition("{")[0].rpartition("/")[0]
    candidates = []
    for folder, _, names in os.walk(public / start):
        below = os.path.relpath(folder, public)
        candidates += [name if below == "." else f"{below}/{name}" for name in names]
    return candidates


def list_members(path: Path) -> list[str]:
    """The names of the files in a zip. Raises TableError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member.filename for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        raise TableError(f"{path.name} is not a readable zip archive ({error})") from None


# -------------------------------------------------------------------------------------------------- reading, copying


@contextmanager
def _open_text(path: Path, member: str) -> Iterator[TextIO]:
    if not member:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            yield stream
        return
    if list_members(path) != [member]:
        raise TableError(f"{path.name} must contain {member} and nothing else")
    with zipfile.ZipFile(path) as archive, archive.open(member) as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _json_rows(stream: TextIO, name: str) -> Iterator[Row]:
    try:
        objects: list[dict[str, Any]] = json.load(stream)
        header = list(dict.fromkeys(key for each in objects for key in each))
    except (ValueError, TypeError, AttributeError):
        raise TableError(f"{name} is not a JSON list of objects") from None
    yield header
    for each in objects:
        yield [json.dumps(each[key]) if key in each else "" for key in header]


def _object(header: Row, row: Row) -> dict[str, Any]:
    return {key: json.loads(cell) for key, cell in zip(header, row, strict=True) if cell}


def _json_cell_text(cell: str) -> str:
    return str(json.loads(cell)) if cell.startswith('"') else cell


def _lines_are_rows(path: Path) -> bool:
    """Whether a large CSV can be copied by lines: no quotes, no carriage returns, no blank lines."""
    if path.stat().st_size < COPY_LINES_BYTES:
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


def _copy_lines(source: Path, target: Path, removed: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Copy a table without some rows, which are yielded with their numbers."""
    with source.open("rb", 1 << 22) as reader, target.open("wb", 1 << 22) as writer:
        writer.writelines(itertools.islice(reader, 1))
        next_row = 0
        for number in sorted(removed):
            writer.writelines(itertools.islice(reader, number - next_row))
            yield number, next(reader)
            next_row = number + 1
        writer.writelines(reader)
        writer.flush()
        os.fsync(writer.fileno())
