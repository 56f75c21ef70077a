"""All answers of a competition, found for a blend by the cells and files of its rows, never by id.

A blend has the format of the task, so it is read as one. The signature of a row is its cells (except renumbered ones)
and the bytes of its files; the prepared data have the answer of each signature.
"""

from __future__ import annotations

import csv
import random
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tasks.holdout.blend import Blend
from tasks.holdout.load_inputs import TaskInputs, load_inputs
from tasks.io.csv_text import Row
from tasks.io.path_templates import PathPattern
from tasks.task import Task

Signature = tuple[object, ...]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def write(path: Path, rows: list[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return path


def contents(public: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder and everything inside its archives."""
    for path in sorted(public.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(public).as_posix()
        yield name, path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{name}!{member}", archive.read(member)


def book_of(task: Task) -> TaskInputs:
    assert task.labels is not None
    return load_inputs(task, task.labels)


def read_as_task(task: Task, blend: Blend, folder: Path) -> Task:
    """The task whose public data are the blend's."""
    public = folder / task.public.relative_to(task.folder)
    public.parent.mkdir(parents=True, exist_ok=True)
    public.unlink(missing_ok=True)
    public.symlink_to(blend.public)
    sample = task.submission.sample
    if sample.is_relative_to(task.public):
        sample = public / sample.relative_to(task.public)
    else:
        with zipfile.ZipFile(public / task.submission.shown) as archive:
            sample = folder / "sample.csv"
            sample.write_bytes(archive.read(archive.namelist()[0]))
    return replace(task, folder=folder, public=public, submission=replace(task.submission, sample=sample))


class Oracle:
    """All answers of a prepared competition."""

    def __init__(self, task: Task) -> None:
        self.task, self.book = task, book_of(task)
        renumber = task.recipe.renumber
        self._says = [name for name in self.book.test.header if not renumber or name != renumber.field]
        self._says = [name for name in self._says if name in self.book.train.source.header and name != "labels"]
        self.answers: dict[Signature, list[Row]] = {}
        for fields in self._train():
            self._learn(self._signature(task, fields, 0), list(self.book.encoder.cells(fields)))
        right = self._private()
        for fields, places in self._test(self.book):
            self._learn(self._signature(task, fields, 1), [right[place] for place in places])

    def _learn(self, signature: Signature, cells: list[Row]) -> None:
        known = self.answers.setdefault(signature, cells)
        assert known == cells, f"two equal rows have different answers: {signature}"

    def _train(self) -> Iterator[dict[str, str]]:
        source = self.book.train.source
        for row in source.rows():
            yield {name: source.plain(cell) for name, cell in zip(source.header, row, strict=True)}

    def _test(self, book: TaskInputs) -> Iterator[tuple[dict[str, str], list[int]]]:
        plain = book.test.source.plain if book.test.source else str
        for row, places in zip(book.test.rows, book.test.sample_rows, strict=True):
            yield {name: plain(cell) for name, cell in zip(book.test.header, row, strict=True)}, places

    def _private(self) -> list[Row]:
        assert self.task.answers is not None
        header, *rows = read(self.task.answers)
        at = [header.index(name) for name in self.task.submission.targets]
        key = header.index(self.task.submission.id)
        found = {row[key]: [row[place] for place in at] for row in rows}
        return [found[name] for name in self.book.sample.ids]

    def _signature(self, task: Task, fields: dict[str, str], side: int) -> Signature:
        files = []
        for line in task.recipe.files:
            spot = PathPattern(line[side])
            if PathPattern(line[1]):  # a clean image is the answer itself
                files.append(_bytes(task.public, spot, spot.fill(fields)))
        return (*(fields[name] for name in self._says), *files)

    def perfect(self, blend: Blend, folder: Path) -> list[Row]:
        """A perfect submission for the blend, in the order of its sample, header first."""
        mirror = read_as_task(self.task, blend, folder)
        book = book_of(mirror)
        rows: list[Row] = [[]] * len(book.sample.ids)
        for fields, places in self._test(book):
            cells = self.answers[self._signature(mirror, fields, 1)]
            for place, found in zip(places, cells, strict=True):
                # Rows that Kaggle did not label may have any prediction.
                rows[place] = [book.sample.ids[place], *("0" if cell == "-1" else cell for cell in found)]
        return [[self.task.submission.id, *self.task.submission.targets], *rows]


def _bytes(public: Path, spot: PathPattern, name: str) -> bytes:
    if not spot.archive:
        return (public / name).read_bytes()
    with zipfile.ZipFile(public / spot.archive) as archive:
        return archive.read(name)


def upset(rows: list[Row], seed: int = 1) -> list[Row]:
    """The same submission with rows shuffled and columns reversed."""
    header, *body = [row[::-1] for row in rows]
    random.Random(seed).shuffle(body)
    return [header, *body]
