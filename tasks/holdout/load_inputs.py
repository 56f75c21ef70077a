"""Read what a split needs from a task's files: the sample, the labelled rows, and the rows to predict.

Raises `TableError` for files that do not fit together.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config.recipe import Answer
from tasks.holdout.sources import MarkedFile, Source, Table, labelled_source, open_source
from tasks.holdout.target_encoding import AnswerEncoder
from tasks.io.csv_text import Positions, Row, TableError, number, read_header, read_rows
from tasks.io.folder import list_names
from tasks.io.path_templates import PathPattern
from tasks.progress import counted

if TYPE_CHECKING:
    from tasks.task import Labels, Task

CHECKED_ROWS = 5_000_000
"""Only this many labelled rows are checked for repeated ids and cached, to bound memory."""


@dataclass(frozen=True)
class Sample:
    """The sample submission: its ids in order, and the most common cell of each column (`common`).

    `rest` are its rows if it has columns besides id and targets; `varied` are the columns with several values.
    """

    name: str
    header: Row
    id_at: int
    ids: list[str]
    common: Row
    varied: tuple[str, ...]
    rest: list[Row]


@dataclass
class Train:
    """What is needed of the labelled rows to choose among them, row by row; a label is None if it is missing.

    `units` name rows that move together, `groups` rows that are held out together (empty: each row alone). `times` is
    filled for a split by time, `sizes` (labels as numbers) if tails are kept, `seen` (hashes of ids) if ids must be
    unique.
    """

    source: Source
    labels: list[str | None] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    sizes: array[float] = field(default_factory=lambda: array("d"))
    seen: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Test:
    """The rows to predict and, for each, its rows in the sample. `source` is None if only the sample lists them."""

    source: Source | None
    header: Row
    rows: list[Row]
    sample_rows: list[list[int]]


@dataclass(frozen=True)
class TaskInputs:
    """Everything a split needs from a task's files.

    `used` are the fields that the recipe mentions, `notes` describe what was inferred, `replaced` are the files that
    are rewritten, `files` the names of all public files.
    """

    sample: Sample
    train: Train
    test: Test
    encoder: AnswerEncoder
    used: frozenset[str]
    notes: tuple[str, ...]
    replaced: frozenset[Path]
    files: Sequence[str]


def load_inputs(task: Task, labels: Labels) -> TaskInputs:
    """Read everything a split needs from a task's files. Raises TableError."""
    sample = read_sample(task)
    answer, notes = _answer(task, labels)
    page = task.recipe.files[0][1] if task.recipe.files else ""
    encoder = AnswerEncoder(answer, labels.id, labels.targets, task.submission.targets, task.public, page)
    train = read_labelled_rows(task, labels, encoder)
    files = list_names(task.public, is_strict=True)
    test = find_test(task, labels, train, encoder, sample, files)
    _refuse_repeated(train, test, encoder)
    paths = {*train.source.paths, *(test.source.paths if test.source else ()), task.submission.sample}
    used = fields_used(task, labels, sample, encoder)
    return TaskInputs(sample, train, test, encoder, used, notes, frozenset(paths), files)


# ------------------------------------------------------------------------------------------------------------ sample


def read_sample(task: Task) -> Sample:
    """Read the sample submission. Raises TableError."""
    rows = read_rows(task.submission.sample)
    header, name = next(rows, []), task.submission.sample.name
    for column in (task.submission.id, *task.submission.targets):
        if header.count(column) != 1:
            raise TableError(f"{name} must have exactly one column {column!r}")
    id_at = header.index(task.submission.id)
    others = len(header) > 1 + len(task.submission.targets)
    counts: list[Counter[str]] = [Counter() for _ in header]
    ids, rest = [], []
    for row in rows:
        ids.append(row[id_at])
        if others:
            rest.append(row)
        for index, cell in enumerate(row):
            if index != id_at:
                counts[index][sys.intern(cell)] += 1
    if not ids:
        raise TableError(f"{name} has no rows")
    if not task.recipe.is_written and not Positions(ids).unique:
        raise TableError(f"{name}: ids in column {task.submission.id!r} repeat; give every row its own id")
    varied = tuple(header[column] for column, count in enumerate(counts) if len(count) > 1)
    common = [count.most_common(1)[0][0] if count else "" for count in counts]
    return Sample(name, header, id_at, ids, common, varied, rest)


# ----------------------------------------------------------------------------------------------------- labelled rows


def read_labelled_rows(task: Task, labels: Labels, encoder: AnswerEncoder) -> Train:
    """Read the labelled rows. Raises TableError."""
    source, recipe = labelled_source(task, labels), task.recipe
    header, train = source.header, Train(source)
    targets = labels.targets if encoder.reads_labels else ()
    ids = [name for name in encoder.id.names if encoder.is_plain or name in header]
    extra = [(recipe.unit, train.units), (labels.group, train.groups), (recipe.time, train.times)]
    _require_columns(source, [name for name in (*ids, *targets, *(name for name, _ in extra)) if name])
    wanted = [(header.index(name), values) for name, values in extra if name]
    cells_of, id_of = _cell_getter(header, targets), _cell_getter(header, ids)
    plain, read_label = source.plain, _label_reader(task, labels, train, encoder)
    ids_differ = encoder.is_plain and not (recipe.unit or recipe.renumber or set(ids) & {labels.group})
    cache: dict[Any, tuple[str | None, float]] = {}
    for row_number, row in enumerate(counted(source.rows(), "reading the labelled rows")):
        cells = cells_of(row)
        label = cache.get(cells)
        if label is None:  # most labels repeat, and there may be fifty million of them
            label = read_label(cells, id_of(row))
            if len(cache) < CHECKED_ROWS:
                cache[cells] = label
        train.labels.append(label[0])
        for column_index, values in wanted:
            values.append(sys.intern(plain(row[column_index])))
        if recipe.keeps_tails:
            train.sizes.append(label[1])
        if ids_differ and row_number < CHECKED_ROWS:
            train.seen.add(hash(id_of(row)))
    if train.seen and len(train.seen) < min(len(train.labels), CHECKED_ROWS):
        test_name = task.recipe.test[0].rpartition("/")[2] if task.recipe.test else "test.csv"
        raise TableError(f"ids in column {labels.id!r} must be unique over {source.name} and {test_name} together")
    return train


def _require_columns(source: Source, names: Sequence[str]) -> None:
    for name in names:
        if source.header.count(name) != 1:
            has = ", ".join(source.header) or "none"
            raise TableError(f"{source.name} must have exactly one column {name!r}; its columns are: {has}")


def _cell_getter(header: Row, names: Sequence[str]) -> Callable[[Row], Any]:
    """A function that gets the cells of these columns: a tuple, or for one column the cell itself."""
    columns = [header.index(name) for name in names]
    return itemgetter(*columns) if columns else lambda row: ()


def _label_reader(
    task: Task, labels: Labels, train: Train, encoder: AnswerEncoder
) -> Callable[[Any, Any], tuple[str | None, float]]:
    """A function of label cells and a row's id that returns the row's stratum (None without a label) and, if tails are
    kept, the label as a number. It raises TableError for a label that cannot be encoded."""
    plain, check = train.source.plain, encoder.check(train.source.name, task.metric.needs != "labels")
    has_strata = encoder.is_plain and not task.recipe.unit
    may_be_missing = task.submission.may_be_missing or not encoder.is_plain

    def read_label(picked: str | tuple[str, ...], name: str | tuple[str, ...]) -> tuple[str | None, float]:
        cells = [plain(cell) for cell in ((picked,) if isinstance(picked, str) else picked)]
        check(cells, name if isinstance(name, str) else "_".join(name))
        if not (may_be_missing or all(cell.strip() for cell in cells)):
            return None, math.nan
        size = number(cells[0]) if task.recipe.keeps_tails else math.nan
        return (sys.intern("\x1f".join(cells)) if has_strata else ""), size

    return read_label


def _refuse_repeated(train: Train, test: Test, encoder: AnswerEncoder) -> None:
    """Raise TableError if a row to predict has the id of a labelled row."""
    if not train.seen or not set(encoder.id.names) <= set(test.header):
        return
    id_of = _cell_getter(test.header, encoder.id.names)
    if any(hash(id_of(row)) in train.seen for row in test.rows):
        name = test.source.name if test.source else "the sample"
        column = encoder.id.single_field or encoder.id.text
        raise TableError(f"ids in column {column!r} must be unique over {train.source.name} and {name} together")


def _answer(task: Task, labels: Labels) -> tuple[Answer, tuple[str, ...]]:
    """How labels become answers, as written or (with a note) as inferred."""
    targets = task.submission.targets
    answer, notes = task.recipe.answer or Answer(), ()
    if (not task.recipe.is_written or task.recipe.answer is None) and len(labels.targets) == 1 and len(targets) > 1:
        note = f"assumed that the sample's columns {', '.join(targets[:5])}… are the classes of {labels.targets[0]}"
        return Answer("onehot"), (f"{note}; write `blend: {{answer: {{onehot: {labels.targets[0]}}}}}` to confirm",)
    if answer.kind == "same" and len(labels.targets) != len(targets):
        raise TableError("labels.target and submission.target must name the same number of columns, in the same order")
    return answer, notes


# --------------------------------------------------------------------------------------------------- rows to predict


def find_test(
    task: Task, labels: Labels, train: Train, encoder: AnswerEncoder, sample: Sample, files: Sequence[str]
) -> Test:
    """The rows to predict.

    They come from the table that the recipe names; without a recipe from the one public CSV that has the labels file's
    columns except the targets; with a recipe that names no table from the sample. Raises TableError.
    """
    recipe, source = task.recipe, train.source
    if isinstance(source, MarkedFile):
        test_source: Source | None = MarkedFile(source.paths[0], labels.targets[0], recipe.mark or "?", of_test=True)
    elif recipe.test:
        test_source = open_source(task, recipe.test)
        extra = set(test_source.header) - (set(source.header) - set(labels.targets))
        if isinstance(test_source, Table) and extra:
            raise TableError(f"{test_source.name} has columns that {source.name} lacks, or the targets")
    elif recipe.files:
        test_source = None
    else:
        test_source = Table([(_infer_test_file(task, labels, source, files), "")])
    if test_source is None:
        if not encoder.id.single_field:
            raise TableError("if only the sample lists the rows to predict, `labels.id` must be one column")
        header, rows = [encoder.id.single_field], [[name] for name in sample.ids]
        return Test(None, header, rows, [[row] for row in range(len(rows))])
    rows = list(test_source.rows())
    return Test(test_source, test_source.header, rows, _find_sample_rows(rows, test_source, encoder, sample))


def _infer_test_file(task: Task, labels: Labels, source: Source, files: Sequence[str]) -> Path:
    columns = set(source.header) - set(labels.targets)
    shapes = [columns, columns - {labels.group}]
    others = {labels.file, task.submission.sample}
    tables = [task.public / name for name in files if name.lower().endswith(".csv")]
    candidates = [path for path in tables if path not in others and set(read_header(path)) in shapes]
    if len(candidates) == 1:
        return candidates[0]
    expected = ", ".join(name for name in source.header if name in columns)
    names = ", ".join(path.relative_to(task.public).as_posix() for path in candidates) or "none"
    raise TableError(
        f"the test file must be the only CSV in {task.public.name}/ with the columns of {source.name} except the "
        f"targets ({expected}); found: {names}. Name it in `blend: {{test: ...}}`, or leave `labels` out (scores are "
        "then self-reported)"
    )


def _find_sample_rows(rows: Sequence[Row], source: Source, encoder: AnswerEncoder, sample: Sample) -> list[list[int]]:
    """For each row to predict, its rows in the sample; every sample row belongs to exactly one row."""
    find = IdFinder(sample.ids)
    header = source.header
    wanted = encoder.names
    sample_rows: list[list[int]] = []
    count = 0
    for row in rows:
        fields = fields_of(header, row, source, wanted)
        matches = [find(name) for name in encoder.ids(fields)]
        sample_rows.append([sample_row for sample_row in matches if sample_row is not None])
        count += len(matches)
    seen = {sample_row for matches in sample_rows for sample_row in matches}
    if len(seen) != len(sample.ids) or count != len(sample.ids):
        raise TableError(f"{sample.name} and {source.name} must have the same ids, each exactly once")
    return sample_rows


class IdFinder:
    """Finds the position of an id in a list; a repeated id gives its positions one after the other."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._positions = Positions(ids)
        self._queues: dict[str, deque[int]] = {}
        if not self._positions.unique:
            positions: dict[str, deque[int]] = defaultdict(deque)
            for index, name in enumerate(ids):
                positions[name].append(index)
            self._queues = {name: queue for name, queue in positions.items() if len(queue) > 1}

    def __call__(self, name: str) -> int | None:
        queue = self._queues.get(name)
        if queue is None:
            return self._positions.find(name)
        return queue.popleft() if queue else None


def fields_of(header: Row, row: Row, source: Source | None, wanted: Collection[str]) -> dict[str, str]:
    """The wanted fields of a row, as the text they stand for."""
    plain = source.plain if source else str
    return {name: plain(cell) for name, cell in zip(header, row, strict=True) if name in wanted}


def fields_used(task: Task, labels: Labels, sample: Sample, encoder: AnswerEncoder) -> frozenset[str]:
    """The fields that a recipe mentions; a wide table has many more."""
    recipe = task.recipe
    used = {*encoder.id.names, *labels.targets, *dict(recipe.fill).values(), *dict(recipe.side).values()}
    used |= {mark.key for _, mark in recipe.also_mark} | {recipe.unit or ""}
    used |= {name for pair in recipe.files for text in pair for name in PathPattern(text).names}
    used |= set(PathPattern(recipe.answer.image).names) if recipe.answer else set()
    used |= {recipe.renumber.field, *PathPattern(recipe.renumber.order).names} if recipe.renumber else set()
    return frozenset(used | (set(sample.header) if sample.rest else set()))
