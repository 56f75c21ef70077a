"""What a task's files say before any row moves: the sample, the labelled rows, and the rows to predict.

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

from tasks.holdout.recipe import Answer
from tasks.holdout.sources import Marked, Source, Table, labelled_source, open_source
from tasks.holdout.target_encoding import AnswerEncoder
from tasks.io.csv_text import Positions, Row, TableError, read_header, read_rows
from tasks.io.path_templates import PathPattern
from tasks.judging.validate_submission import number

if TYPE_CHECKING:
    from tasks.task import Labels, Task

MANY = 5_000_000
"""From so many labelled rows on, repeated ids are looked for among the rows that are shown, and not among all."""


@dataclass(frozen=True)
class Sample:
    """The sample submission: its ids in order, and of each column the commonest cell. `rest` are its rows where it
    has columns besides id and targets; `varied` are the columns of more than one value."""

    name: str
    header: Row
    id_at: int
    ids: list[str]
    common: Row
    varied: tuple[str, ...]
    rest: list[Row]


@dataclass
class Train:
    """What must be known of the labelled rows to choose among them, row by row; `labels` is None where one is missing.

    `units` name what moves whole and `groups` what is held out together (empty: each row by itself), `moments` the
    times where rows are held out by time, `sizes` the labels as numbers where tails are kept, `seen` stands for the ids
    where they must not repeat.
    """

    source: Source
    labels: list[str | None] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    sizes: array[float] = field(default_factory=lambda: array("d"))
    seen: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Test:
    """The rows to predict and, for each, its rows in the sample. `source` is None where the sample alone lists them."""

    source: Source | None
    header: Row
    rows: list[Row]
    places: list[list[int]]


@dataclass(frozen=True)
class TaskInputs:
    """All that a task's files say. `used` are the fields that its recipe speaks of, `notes` say what was guessed;
    `replaced` are the files that are written anew."""

    sample: Sample
    train: Train
    test: Test
    encoder: AnswerEncoder
    used: frozenset[str]
    notes: tuple[str, ...]
    replaced: frozenset[Path]


def load_inputs(task: Task, labels: Labels) -> TaskInputs:
    """Read what must be known of a task to blend it. Raises TableError."""
    sample = read_sample(task)
    answer, notes = _answer(task, labels)
    page = task.recipe.files[0][1] if task.recipe.files else ""
    encoder = AnswerEncoder(answer, labels.id, labels.targets, task.submission.targets, task.public, page)
    train = scan(task, labels, encoder)
    test = find_test(task, labels, train, encoder, sample)
    _refuse_repeated(train, test, encoder)
    paths = {*train.source.paths, *(test.source.paths if test.source else ()), task.submission.sample}
    used = fields_used(task, labels, sample, encoder)
    return TaskInputs(sample, train, test, encoder, used, notes, frozenset(paths))


# ------------------------------------------------------------------------------------------------------------ sample


def read_sample(task: Task) -> Sample:
    """The sample submission. Raises TableError."""
    rows = read_rows(task.submission.sample)
    header, name = next(rows, []), task.submission.sample.name
    for column in (task.submission.id, *task.submission.targets):
        if header.count(column) != 1:
            raise TableError(f"{name} needs one column {column!r}")
    id_at = header.index(task.submission.id)
    others = len(header) > 1 + len(task.submission.targets)
    counts: list[Counter[str]] = [Counter() for _ in header]
    ids, rest = [], []
    for row in rows:
        ids.append(row[id_at])
        if others:
            rest.append(row)
        for at, cell in enumerate(row):
            if at != id_at:
                counts[at][sys.intern(cell)] += 1
    if not ids:
        raise TableError(f"{name} has no rows")
    if not task.recipe.is_written and not Positions(ids).unique:
        raise TableError(f"{name}: ids in column {task.submission.id!r} repeat; give every row its own")
    varied = tuple(header[at] for at, count in enumerate(counts) if len(count) > 1)
    common = [count.most_common(1)[0][0] if count else "" for count in counts]
    return Sample(name, header, id_at, ids, common, varied, rest)


# ----------------------------------------------------------------------------------------------------- labelled rows


def scan(task: Task, labels: Labels, encoder: AnswerEncoder) -> Train:
    """Read what must be known of the labelled rows. Raises TableError."""
    source, recipe = labelled_source(task, labels), task.recipe
    header, train = source.header, Train(source)
    targets = labels.targets if encoder.reads_labels else ()
    ids = [name for name in encoder.id.names if encoder.is_plain or name in header]
    extra = [(recipe.unit, train.units), (labels.group, train.groups), (recipe.time, train.moments)]
    for column in filter(None, (*ids, *targets, *(name for name, _ in extra))):
        if header.count(column) != 1:
            raise TableError(f"{source.name} needs one column {column!r}; it has {', '.join(header) or 'none'}")
    wanted = [(header.index(name), into) for name, into in extra if name]
    cells_of, id_of = _picker(header, targets), _picker(header, ids)
    plain, weigh = source.plain, _weighing(task, labels, train, encoder)
    ids_differ = encoder.is_plain and not (recipe.unit or recipe.renumber or set(ids) & {labels.group})
    known: dict[Any, tuple[str | None, float]] = {}
    for at_row, row in enumerate(source.rows()):
        cells = cells_of(row)
        found = known.get(cells)
        if found is None:  # labels repeat, and fifty million of them need not all be looked at
            found = weigh(cells, id_of(row))
            if len(known) < MANY:
                known[cells] = found
        train.labels.append(found[0])
        for at, into in wanted:
            into.append(sys.intern(plain(row[at])))
        if recipe.keeps_tails:
            train.sizes.append(found[1])
        if ids_differ and at_row < MANY:
            train.seen.add(hash(id_of(row)))
    if train.seen and len(train.seen) < min(len(train.labels), MANY):
        says = f"ids in column {labels.id!r} must be unique over {source.name}"
        raise TableError(f"{says} and {_tests_name(task)} together")
    return train


def _picker(header: Row, names: Sequence[str]) -> Callable[[Row], Any]:
    """A function that picks the cells of these columns: a tuple, but for one column the cell."""
    at = [header.index(name) for name in names]
    return itemgetter(*at) if at else lambda row: ()


def _weighing(
    task: Task, labels: Labels, train: Train, encoder: AnswerEncoder
) -> Callable[[Any, Any], tuple[str | None, float]]:
    """A function of label cells and a row's id: the stratum, None where the row has no label, and the label's number
    where tails are kept. Raises TableError for a label that cannot be an answer."""
    plain, look = train.source.plain, encoder.check(train.source.name, task.metric.needs != "labels")
    has_strata = encoder.is_plain and not task.recipe.unit
    may_be_missing = task.submission.may_be_missing or not encoder.is_plain

    def weigh(picked: str | tuple[str, ...], name: str | tuple[str, ...]) -> tuple[str | None, float]:
        cells = [plain(cell) for cell in ((picked,) if isinstance(picked, str) else picked)]
        look(cells, name if isinstance(name, str) else "_".join(name))
        if not (may_be_missing or all(cell.strip() for cell in cells)):
            return None, math.nan
        size = number(cells[0]) if task.recipe.keeps_tails else math.nan
        return (sys.intern("\x1f".join(cells)) if has_strata else ""), size

    return weigh


def _tests_name(task: Task) -> str:
    return task.recipe.test[0].rpartition("/")[2] if task.recipe.test else "test.csv"


def _refuse_repeated(train: Train, test: Test, encoder: AnswerEncoder) -> None:
    """No row to predict has the id of a labelled one."""
    if not train.seen or not set(encoder.id.names) <= set(test.header):
        return
    id_of = _picker(test.header, encoder.id.names)
    if any(hash(id_of(row)) in train.seen for row in test.rows):
        name = test.source.name if test.source else "the sample"
        column = encoder.id.single_field or encoder.id.text
        raise TableError(f"ids in column {column!r} must be unique over {train.source.name} and {name} together")


def _answer(task: Task, labels: Labels) -> tuple[Answer, tuple[str, ...]]:
    """How labels become answers, as said or (with a note) as guessed."""
    targets = task.submission.targets
    answer, notes = task.recipe.answer or Answer(), ()
    if (not task.recipe.is_written or task.recipe.answer is None) and len(labels.targets) == 1 and len(targets) > 1:
        note = f"guessed that the sample's columns {', '.join(targets[:5])}… are the classes of {labels.targets[0]}"
        return Answer("onehot"), (f"{note}; write `blend: {{answer: {{onehot: {labels.targets[0]}}}}}` to say so",)
    if answer.kind == "same" and len(labels.targets) != len(targets):
        raise TableError("labels.target and submission.target must name the same number of columns, in the same order")
    return answer, notes


# --------------------------------------------------------------------------------------------------- rows to predict


def find_test(task: Task, labels: Labels, train: Train, encoder: AnswerEncoder, sample: Sample) -> Test:
    """The rows to predict: of the table named, of the one CSV of public that has the labels file's columns but for the
    targets, or, where a recipe names no table, of the sample. Raises TableError."""
    recipe, source = task.recipe, train.source
    if isinstance(source, Marked):
        asked: Source | None = Marked(source.paths[0], labels.targets[0], recipe.mark or "?", of_test=True)
    elif recipe.test:
        asked = open_source(task, recipe.test)
        strange = set(asked.header) - (set(source.header) - set(labels.targets))
        if isinstance(asked, Table) and strange:
            raise TableError(f"{asked.name} has columns that {source.name} has not, or the targets")
    elif recipe.files:
        asked = None
    else:
        asked = Table([(_guessed(task, labels, source), "")])
    if asked is None:
        if not encoder.id.single_field:
            raise TableError("where the sample alone lists the rows to predict, `labels.id` must be one column")
        header, rows = [encoder.id.single_field], [[name] for name in sample.ids]
        return Test(None, header, rows, [[at] for at in range(len(rows))])
    rows = list(asked.rows())
    return Test(asked, asked.header, rows, _places(rows, asked, encoder, sample))


def _guessed(task: Task, labels: Labels, source: Source) -> Path:
    columns = set(source.header) - set(labels.targets)
    shapes = [columns, columns - {labels.group}]
    others = {labels.file, task.submission.sample}
    found = [path for path in _tables(task.public) if path not in others and set(read_header(path)) in shapes]
    if len(found) == 1:
        return found[0]
    expected = ", ".join(name for name in source.header if name in columns)
    names = ", ".join(path.relative_to(task.public).as_posix() for path in found) or "none"
    raise TableError(
        f"one CSV in {task.public.name}/ must have the columns of {source.name} without the targets "
        f"({expected}), and that is the test file; found: {names}. Where there is no such file, say in `blend:` where "
        "the rows to predict stand, or leave `labels` out, and scores are self-reported"
    )


def _places(rows: Sequence[Row], source: Source, encoder: AnswerEncoder, sample: Sample) -> list[list[int]]:
    """For each row to predict, its rows in the sample; each of those is one row's."""
    find = Places(sample.ids)
    header = source.header
    wanted = encoder.names
    places: list[list[int]] = []
    count = 0
    for row in rows:
        fields = fields_of(header, row, source, wanted)
        found = [find(name) for name in encoder.ids(fields)]
        places.append([place for place in found if place is not None])
        count += len(found)
    seen = {place for found in places for place in found}
    if len(seen) != len(sample.ids) or count != len(sample.ids):
        raise TableError(f"{sample.name} and {source.name} must have the same ids, each once")
    return places


class Places:
    """Finds the place of an id among ids; one that is there several times is found at one place after the other."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._positions = Positions(ids)
        self._queues: dict[str, deque[int]] = {}
        if not self._positions.unique:
            found: dict[str, deque[int]] = defaultdict(deque)
            for at, name in enumerate(ids):
                found[name].append(at)
            self._queues = {name: places for name, places in found.items() if len(places) > 1}

    def __call__(self, name: str) -> int | None:
        queue = self._queues.get(name)
        if queue is None:
            return self._positions.find(name)
        return queue.popleft() if queue else None


def _tables(public: Path) -> list[Path]:
    return sorted(path for path in public.rglob("*") if path.suffix.lower() == ".csv" and path.is_file())


def fields_of(header: Row, row: Row, source: Source | None, wanted: Collection[str]) -> dict[str, str]:
    """A row's fields that are wanted, as the text they stand for."""
    plain = source.plain if source else str
    return {name: plain(cell) for name, cell in zip(header, row, strict=True) if name in wanted}


def fields_used(task: Task, labels: Labels, sample: Sample, encoder: AnswerEncoder) -> frozenset[str]:
    """The fields that a recipe speaks of: a wide table has many more."""
    recipe = task.recipe
    used = {*encoder.id.names, *labels.targets, *dict(recipe.fill).values(), *dict(recipe.side).values()}
    used |= {mark.key for _, mark in recipe.also_mark} | {recipe.unit or ""}
    used |= {name for pair in recipe.files for text in pair for name in PathPattern(text).names}
    used |= set(PathPattern(recipe.answer.image).names) if recipe.answer else set()
    used |= {recipe.renumber.field, *PathPattern(recipe.renumber.order).names} if recipe.renumber else set()
    return frozenset(used | (set(sample.header) if sample.rest else set()))
