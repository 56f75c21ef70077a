"""How a task's labelled rows become rows to predict: the `blend:` section of a task.yaml as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal


@dataclass(frozen=True)
class Answer:
    """How a label becomes cells of a submission.

    `same`: columns of the same name. `onehot`: the sample's columns are the classes. `map`: cells given by `values`.
    `set`: a list of members of `count`, one row each (`{k}` in the id). `pixels`: the grey values of the image named by
    `image`, one row each (`{row}` and `{col}` in the id, from 1).
    """

    kind: Literal["same", "onehot", "map", "set", "pixels"] = "same"
    values: tuple[tuple[str, str], ...] = ()
    count: int = 0
    image: str = ""


@dataclass(frozen=True)
class Renumber:
    """New values for a field of every row to predict, if the old ones would reveal which rows are held out.

    `form` contains `{i}`, counted from `start`. `order` is a template by which rows are sorted before they are counted
    (and shown); empty means random order.
    """

    field: str
    form: str
    start: int = 0
    order: str = ""


@dataclass(frozen=True)
class Mark:
    """A table in which rows to predict are marked: rows are found by the column `key` and get the cells `cells`."""

    key: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Recipe:
    """The `blend:` section. `is_written` is false if the task has none and everything is inferred.

    `test`: the tables of rows to predict, as written. `answer`: None if it is inferred. `files`: pairs of path
    patterns, a row's file among the training files and among those to predict. `side`: tables that lose the rows of
    held-out rows (file, column). `also_mark`: tables in which held-out rows are marked. `mark`: the word for an unknown
    label in the labels file itself. `fill`: columns of the sample filled from a row's own fields. `unit`: the column
    that identifies rows which move together. `time`: the column whose latest rows are held out. `keeps_tails`: rows so
    extreme that one would outweigh all others stay training rows. `folds`, or `search` and `select` (shares; above 1,
    row counts), replace the plan inferred from the row count. `static` and `omit`: patterns of files that are shown
    unchanged, and never shown.
    """

    is_written: bool = False
    test: tuple[str, ...] = ()
    answer: Answer | None = None
    files: tuple[tuple[str, str], ...] = ()
    side: tuple[tuple[str, str], ...] = ()
    also_mark: tuple[tuple[str, Mark], ...] = ()
    mark: str = ""
    fill: tuple[tuple[str, str], ...] = ()
    renumber: Renumber | None = None
    unit: str | None = None
    time: str | None = None
    keeps_tails: bool = False
    folds: int | None = None
    search: float | None = None
    select: float | None = None
    static: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()

    def is_static(self, name: str) -> bool:
        """Whether `static:` declares that this public file contains no label."""
        return any(fnmatchcase(name, pattern) for pattern in self.static)

    def is_omitted(self, name: str) -> bool:
        """Whether `omit:` declares that this public file is never shown."""
        return any(fnmatchcase(name, pattern) for pattern in self.omit)
